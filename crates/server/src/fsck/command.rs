//! `vm0 fsck`, beside a running server or without one.

use std::path::Path;

use vm0_blob::{BlobError, Blobs};
use vm0_store::{GarbageStore, SqliteStore, StoreError};

use super::checker::Checker;
use super::report::FsckReport;
use crate::data_dir::{DataDir, DataDirError};

/// Why a check did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be read.
    #[error("use the database")]
    Store(#[from] StoreError),
    /// The object store cannot be read.
    #[error("use the object store")]
    Blob(#[from] BlobError),
}

/// Checks the bytes of a data directory.
///
/// # Errors
///
/// When the data directory, its database or its objects cannot be read at all.
pub async fn fsck(data_dir: &Path) -> Result<FsckReport, FsckError> {
    let directory = DataDir::open(data_dir)?;
    let store = SqliteStore::open(&directory.database()).await?;
    let blobs = Blobs::local(&directory.objects())?;
    let rows = store.references().await?;
    Ok(Checker::new(&blobs, &rows).check().await?)
}
