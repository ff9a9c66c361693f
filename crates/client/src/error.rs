//! What can go wrong between a client and its server.

use std::error::Error;
use std::time::Duration;

use vm0_model::wire::auth::DeviceFault;
use vm0_model::wire::runner::STALE_EPOCH;

/// A call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// Class of the error.
        kind: String,
        /// Stable code to act on; `http_<status>` if the answer was not of our form.
        code: String,
        /// For people.
        message: String,
        /// The field at fault.
        param: Option<String>,
    },
    /// A program that asks to sign in gets no token.
    #[error("sign in: {fault}")]
    Device {
        /// Why not.
        fault: DeviceFault,
    },
    /// No connection, or one that broke.
    #[error("reach the server at {server}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server did not answer in time.
    #[error("get an answer of the server at {server} within {} s", limit.as_secs())]
    Timeout {
        /// The server's address.
        server: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The answer is not what the API promises.
    #[error("understand the server's answer to {call}")]
    Protocol {
        /// The call.
        call: String,
        /// What is wrong with the answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A local file cannot be read or written.
    #[error("use {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The client itself cannot be made.
    #[error("set up the HTTP client")]
    Setup {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether the same call may succeed a little later: a broken connection, no answer in time,
    /// or a server that says so (408, 429, 5xx).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api { status, .. } => *status == 408 || *status == 429 || *status >= 500,
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Device { .. }
            | Self::Protocol { .. }
            | Self::File { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// Whether the server cannot be reached, directly or through what stands before it.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Api { status, .. } => matches!(status, 502..=504),
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Device { .. }
            | Self::Protocol { .. }
            | Self::File { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// Whether the run is no longer this runner's.
    pub fn is_stale_epoch(&self) -> bool {
        self.code() == Some(STALE_EPOCH)
    }

    /// The code of the server's answer.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The field at fault, by the server's answer.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Api { param, .. } => param.as_deref(),
            _ => None,
        }
    }

    /// The HTTP status of the server's answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }
}
