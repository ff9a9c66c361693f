//! Why an image cannot be had from its registry.

use std::error::Error;
use std::path::PathBuf;

use super::login::LoginError;

/// Why an image cannot be had from its registry; fits after "failed to". Holds no credentials.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or one that broke.
    #[error("reach the registry {registry}")]
    Unreachable {
        /// Its host.
        registry: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It has no such image, or not all of it.
    #[error("find {what}: {registry} has none")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Its host.
        registry: String,
    },
    /// It does not give the image to those who ask.
    #[error("read {what}: {registry} {}", refusal(*signed_in))]
    Denied {
        /// What was asked for.
        what: String,
        /// Its host.
        registry: String,
        /// Whether a login file has something for it.
        signed_in: bool,
    },
    /// An answer that is none of those above.
    #[error("read {what}: {registry} answered {status}")]
    Status {
        /// What was asked for.
        what: String,
        /// Its host.
        registry: String,
        /// HTTP status.
        status: u16,
    },
    /// An answer that the specification does not know.
    #[error("understand the registry {registry}: {reason}")]
    Protocol {
        /// Its host.
        registry: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More bytes than there may be.
    #[error("read {what}: it has more than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The limit, or what the manifest says.
        limit: u64,
    },
    /// The content is another than its digest says.
    #[error("verify {what}: its content differs from its digest")]
    Digest {
        /// What was asked for.
        what: String,
    },
    /// The login for it cannot be read.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// A file of this machine cannot be written.
    #[error("write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
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

impl RegistryError {
    /// Whether the same may succeed a little later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }
}

fn refusal(signed_in: bool) -> &'static str {
    if signed_in {
        "refuses the login that is stored for it, or has no such image"
    } else {
        "gives it only to those who sign in, or has no such image"
    }
}
