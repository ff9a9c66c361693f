//! Signing in from a terminal: the device authorization grant (CLI 9, RFC 8628).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The answer to `POST /api/cli/auth/device`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCode {
    /// What the program polls with; a secret.
    pub device_code: String,
    /// What the person types on the page.
    pub user_code: String,
    /// The page, below the server's address.
    pub verification_path: String,
    /// Seconds that both codes are valid.
    pub expires_in: u64,
    /// Seconds between two polls, at least.
    pub interval: u64,
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCode").finish_non_exhaustive()
    }
}

/// The body of `POST /api/cli/auth/token`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTokenRequest {
    /// The device code.
    pub device_code: String,
}

impl fmt::Debug for DeviceTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceTokenRequest").finish_non_exhaustive()
    }
}

/// The answer to `POST /api/cli/auth/token` once the code was approved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceToken {
    /// An API token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the token expires.
    pub expires_in: u64,
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceToken").finish_non_exhaustive()
    }
}

/// Why a poll gets no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceFault {
    /// Nobody has decided yet.
    AuthorizationPending,
    /// The polls come too fast; from now on 5 s more between them.
    SlowDown,
    /// A user has denied it.
    AccessDenied,
    /// The code is unknown, expired or used.
    ExpiredToken,
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthorizationPending => "nobody has decided yet",
            Self::SlowDown => "the polls come too fast",
            Self::AccessDenied => "it was denied",
            Self::ExpiredToken => "the code has expired",
        })
    }
}

/// The answer to `POST /api/cli/auth/token` with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRefusal {
    /// Why.
    pub error: DeviceFault,
}
