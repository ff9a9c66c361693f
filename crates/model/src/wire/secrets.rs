//! Stored secrets (API 11).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A stored secret. Its value is write-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Secret {
    /// Its name.
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,254}$")]
    pub name: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// The body of `PUT /v1/secrets/:name`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretPut {
    /// The value, at least 1 byte and at most 65536.
    #[schema(min_length = 1)]
    pub value: String,
}

impl fmt::Debug for SecretPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPut(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_the_value() {
        let value = "hunter2".to_owned();
        assert_eq!(format!("{:?}", SecretPut { value }), "SecretPut(..)");
    }
}
