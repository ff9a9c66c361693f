//! Stored secrets and variables.

use vm0_model::{Timestamp, UserId};

/// A secret to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPut {
    /// The owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its value, encrypted.
    pub sealed: Vec<u8>,
    /// The present time.
    pub now: Timestamp,
}

/// A stored secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its name.
    pub name: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// The encrypted value of a secret, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The owner.
    pub user_id: UserId,
    /// The name of the secret.
    pub name: String,
    /// Its value, encrypted.
    pub sealed: Vec<u8>,
}

/// A variable to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariablePut {
    /// The owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The present time.
    pub now: Timestamp,
}

/// A stored variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRecord {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// What became of a value to store under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome<T> {
    /// There was none of the name.
    Created(T),
    /// It took the place of an earlier one, which keeps its time of creation.
    Replaced(T),
}

impl<T> PutOutcome<T> {
    /// The same outcome with another form of what is stored.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> PutOutcome<U> {
        match self {
            Self::Created(record) => PutOutcome::Created(convert(record)),
            Self::Replaced(record) => PutOutcome::Replaced(convert(record)),
        }
    }
}
