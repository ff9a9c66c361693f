//! Tokens of the public API (API 12).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::TokenId;
use crate::time::Timestamp;

/// A token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its label.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// The first 16 characters of the token and `...`.
    #[schema(pattern = "^vm0_live_[0-9a-f]{7}[.]{3}$")]
    pub token_prefix: String,
    /// When it was used last; updated within 5 s after a request.
    pub last_used_at: Option<Timestamp>,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenCreate {
    /// Its label, 1–100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Days until it expires.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 365, default = 90)]
    pub expires_in_days: Option<u32>,
}

/// The answer to `POST /v1/tokens`: the only one that has the token itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenCreated {
    /// The token object.
    #[serde(flatten)]
    pub token: Token,
    /// The token itself.
    #[serde(rename = "token")]
    #[schema(pattern = "^vm0_live_[0-9a-f]{64}$")]
    pub secret: String,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCreated")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
