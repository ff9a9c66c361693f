//! Why a tree cannot be had.

use std::io;

use crate::fetch::PackSourceError;
use crate::pack::PackError;

/// Why a tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Another process uses the cache directory.
    #[error("lock the tree cache: another process uses it")]
    Busy,
    /// The cache directory failed.
    #[error("write the tree cache")]
    Io(#[from] io::Error),
    /// A pack could not be read.
    #[error("fetch the contents of a version")]
    Source(#[from] PackSourceError),
    /// A chunk is not what the manifest says.
    #[error("unpack the contents of a version")]
    Pack(#[from] PackError),
    /// The chunks are as the manifest says, but not the file they make up.
    #[error("verify {path:?}")]
    Hash {
        /// The file.
        path: String,
    },
    /// An entry cannot be written on this host.
    #[error("write {path:?} of a version")]
    Entry {
        /// The entry.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The work was cut off because the process stops.
    #[error("finish the work")]
    Stopped(#[from] tokio::task::JoinError),
}
