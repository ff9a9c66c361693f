//! How much is stored.

use futures::TryStreamExt;

use super::store::Blobs;
use crate::error::BlobError;

/// What all objects are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredBytes {
    /// How many there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Blobs {
    /// Counts every object: a walk over the whole store.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn stored_bytes(&self) -> Result<StoredBytes, BlobError> {
        let objects = self.inner.store.list(None).map_err(BlobError::Store);
        objects
            .try_fold(StoredBytes::default(), |sum, object| async move {
                Ok(StoredBytes {
                    objects: sum.objects + 1,
                    bytes: sum.bytes + object.size,
                })
            })
            .await
    }
}
