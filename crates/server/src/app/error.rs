//! Why an operation failed: what the caller is told, and what the log is told.

use std::time::Duration;

use vm0_blob::BlobError;
use vm0_model::{ApiError, ErrorCode};
use vm0_store::StoreError;

use crate::keys::SealError;

/// Why an operation failed. Only [`AppError::outside`] leaves the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The caller's fault, or a fact that the caller may know.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A runner wrote under a lease that it does not hold.
    #[error("write under a lease that is not held")]
    StaleEpoch,
    /// The server is stopping.
    #[error("serve a request while stopping")]
    Stopping,
    /// The caller tries too often.
    #[error("serve a caller that tries too often")]
    TooMany {
        /// When it may try again.
        retry_after: Duration,
    },
    /// The database failed.
    #[error("use the database")]
    Store(#[from] StoreError),
    /// The object store failed.
    #[error("use the object store")]
    Blob(#[from] BlobError),
    /// A stored JSON value cannot be read back.
    #[error("read the stored {what}")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// A stored configuration is not valid any more.
    #[error("accept the stored configuration: {problem}")]
    Config {
        /// The first fault of it.
        problem: String,
    },
    /// Values cannot be sealed or opened.
    #[error("seal or open values")]
    Seal(#[from] SealError),
    /// A handler panicked; the panic itself is in the log.
    #[error("finish the request")]
    Panicked,
}

impl AppError {
    /// What the caller is told.
    pub(crate) fn outside(&self) -> ApiError {
        match self {
            Self::Api(error) => error.clone(),
            Self::Stopping | Self::Store(StoreError::Closed) => ApiError::new(
                ErrorCode::ServiceUnavailable,
                "The service is temporarily unavailable. Please try again later.",
            ),
            Self::TooMany { .. } => ApiError::new(
                ErrorCode::RateLimitExceeded,
                "Too many requests. Please try again later.",
            ),
            _ => ApiError::new(
                ErrorCode::InternalError,
                "An internal error occurred. Please try again later.",
            ),
        }
    }
}
