//! Why the store did not do what was asked.

use vm0_model::PackId;

use crate::fetch::PackSourceError;
use crate::manifest::ManifestError;
use crate::pack::PackError;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such object.
    #[error("find the object {key}")]
    NotFound {
        /// Where it would be.
        key: String,
    },
    /// The bytes are not those that the id names. Nothing was stored.
    #[error("verify the bytes of {key}")]
    Mismatch {
        /// Where they would have been stored.
        key: String,
    },
    /// The object is larger than allowed. Nothing was stored.
    #[error("accept more than {limit} bytes for {key}")]
    TooLarge {
        /// Where it would have been stored.
        key: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// A session name that could leave its directory.
    #[error("accept the session name {session:?}")]
    Session {
        /// The name.
        session: String,
    },
    /// The stream that brings an object ended early. Nothing was stored.
    #[error("receive an object")]
    Receive(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bytes are not a manifest.
    #[error("accept a manifest")]
    Manifest(#[from] ManifestError),
    /// A manifest names a pack that is not stored, or bytes past its end.
    #[error("find the bytes that a manifest names in pack {pack}")]
    Dangling {
        /// The pack.
        pack: PackId,
    },
    /// Bytes of a pack are not what a manifest says of them.
    #[error("read a chunk")]
    Pack(#[from] PackError),
    /// A pack cannot be read.
    #[error("read a file's chunks")]
    Source(#[from] PackSourceError),
    /// The object store failed.
    #[error("reach the object store")]
    Store(#[source] object_store::Error),
    /// The staging directory failed.
    #[error("write an object")]
    Io(#[from] std::io::Error),
    /// The work was cut off because the process stops.
    #[error("finish the work")]
    Stopped(#[from] tokio::task::JoinError),
}
