//! Stored variables (API 11).

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A stored variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Variable {
    /// Its name.
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,254}$")]
    pub name: String,
    /// Its value, which may be empty.
    pub value: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// The body of `PUT /v1/variables/:name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VariablePut {
    /// The value, at most 65536 bytes; may be empty.
    pub value: String,
}
