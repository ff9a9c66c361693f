//! Why bytes or entries are not a manifest.

/// Why bytes or entries are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes do not begin like a manifest.
    #[error("recognise a manifest")]
    Magic,
    /// A format version that this program does not know.
    #[error("read manifest format version {version}")]
    Version {
        /// The version found.
        version: u32,
    },
    /// A size or number is above its limit.
    #[error("accept a manifest of more than {limit} {what}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// The bytes are cut short or changed.
    #[error("verify the checksum of a manifest")]
    Checksum,
    /// The body does not decompress.
    #[error("decompress a manifest")]
    Compression(#[source] std::io::Error),
    /// The body is not the encoding of entries.
    #[error("decode a manifest")]
    Encoding(#[source] postcard::Error),
    /// Bytes follow the last entry.
    #[error("decode a manifest that goes on after its last entry")]
    Trailing,
    /// A path breaks the rules for paths.
    #[error("accept the path {path:?}")]
    Path {
        /// The path.
        path: String,
    },
    /// Paths are out of order or listed twice.
    #[error("accept the path {path:?}, which is out of order or listed twice")]
    Order {
        /// The path.
        path: String,
    },
    /// A path lies below one that is not a directory.
    #[error("accept the path {path:?} below an entry that is not a directory")]
    Below {
        /// The path.
        path: String,
    },
    /// A symlink target is empty, too long, or has a NUL.
    #[error("accept the link target of {path:?}")]
    Target {
        /// Path of the symlink.
        path: String,
    },
    /// The chunks of a file do not make up its content.
    #[error("accept the chunks of {path:?}")]
    Chunks {
        /// Path of the file.
        path: String,
    },
}
