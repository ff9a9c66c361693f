//! Why a collection ended early.

use vm0_blob::BlobError;
use vm0_model::ManifestId;
use vm0_store::StoreError;

use crate::data_dir::DataDirError;

/// Why a collection ended early. What was removed until then was garbage.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A manifest that a row names cannot be read, so that its packs are not known.
    #[error("read manifest {id}, without which nothing can be removed")]
    Manifest {
        /// The manifest.
        id: ManifestId,
        /// Why not.
        source: BlobError,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database failed.
    #[error("use the database")]
    Store(#[from] StoreError),
    /// Kept archives cannot be read or removed.
    #[error("remove kept archives")]
    Archives(#[source] std::io::Error),
    /// The object store failed.
    #[error("use the object store")]
    Blob(#[from] BlobError),
}
