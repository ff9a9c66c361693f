//! Users and tokens.

use vm0_model::{Timestamp, TokenId, UserId};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub name: String,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOwner {
    /// A user of the public API, with the user's name.
    User(UserRecord),
    /// A runner, by name.
    Runner(String),
}

/// A token; the token itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Whom it speaks for.
    pub owner: TokenOwner,
    /// Its label.
    pub name: String,
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// What may be shown of it.
    pub prefix: String,
    /// When it stops to be valid; runner tokens never do.
    pub expires_at: Option<Timestamp>,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token of a user as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Its label.
    pub name: String,
    /// What may be shown of it.
    pub prefix: String,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
    /// When it was used last, as far as that is recorded.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}
