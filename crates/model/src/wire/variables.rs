//! Stored variables (API 11).

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A stored variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, which may be empty.
    pub value: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// The body of `PUT /v1/variables/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariablePut {
    /// The value.
    pub value: String,
}
