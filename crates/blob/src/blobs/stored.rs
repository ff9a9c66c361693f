//! What is stored, whether or not anything names it: listed, condemned, pardoned, removed.
//!
//! An object is condemned by an empty object of its name below `condemned/`; when that was written
//! is since when it is condemned.

use std::collections::HashMap;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use vm0_model::Timestamp;

use super::hold::SweepGuard;
use super::staged::STAGING;
use super::store::Blobs;
use crate::error::BlobError;
use crate::object::{ObjectId, ObjectKind, UPLOADS, condemned_key, condemned_prefix};

/// An object that rows may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Which.
    pub id: ObjectId,
    /// Its bytes.
    pub bytes: u64,
    /// When it was stored last.
    pub stored_at: Timestamp,
    /// Since when it is condemned.
    pub condemned_since: Option<Timestamp>,
}

/// An object that exists only for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryObject {
    key: Path,
    /// The upload session it belongs to; none if it is on its way to its place.
    pub session: Option<String>,
    /// Its bytes.
    pub bytes: u64,
    /// When it was written last.
    pub stored_at: Timestamp,
}

fn time(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_micros(meta.last_modified.timestamp_micros())
}

impl Blobs {
    /// All objects of a kind. Those that are stored or removed meanwhile may be listed or not.
    ///
    /// # Errors
    ///
    /// When the store fails, here or in the stream.
    pub async fn object_list(
        &self,
        kind: ObjectKind,
    ) -> Result<BoxStream<'static, Result<StoredObject, BlobError>>, BlobError> {
        let condemned = self.condemned_list(kind).await?;
        let listing = self.inner.store.list(Some(&Path::from(kind.prefix())));
        let objects = listing.filter_map(move |meta| {
            let object = meta.map(|meta| {
                let id = ObjectId::of_key(kind, &meta.location)?;
                Some(StoredObject {
                    id,
                    bytes: meta.size,
                    stored_at: time(&meta),
                    condemned_since: condemned.get(&id).copied(),
                })
            });
            std::future::ready(object.map_err(BlobError::Store).transpose())
        });
        Ok(objects.boxed())
    }

    /// The condemned objects of a kind, also those that are gone already, and since when.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn condemned_list(
        &self,
        kind: ObjectKind,
    ) -> Result<HashMap<ObjectId, Timestamp>, BlobError> {
        let marks = self.inner.store.list(Some(&condemned_prefix(kind)));
        let known = marks.try_filter_map(|meta| async move {
            Ok(ObjectId::of_key(kind, &meta.location).map(|id| (id, time(&meta))))
        });
        known.try_collect().await.map_err(BlobError::Store)
    }

    /// Whether the object is stored, and since when it is condemned.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn object_view(&self, id: ObjectId) -> Result<Option<StoredObject>, BlobError> {
        let Some(meta) = self.head(&id.key()).await? else {
            return Ok(None);
        };
        let condemned = self.head(&condemned_key(id)).await?;
        Ok(Some(StoredObject {
            id,
            bytes: meta.size,
            stored_at: time(&meta),
            condemned_since: condemned.as_ref().map(time),
        }))
    }

    /// Condemns an object that no row names.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn object_condemn(&self, _guard: &SweepGuard, id: ObjectId) -> Result<(), BlobError> {
        self.put_bytes(&condemned_key(id), Vec::new()).await
    }

    /// Takes back that an object is condemned, if it is.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn object_pardon(&self, id: ObjectId) -> Result<(), BlobError> {
        self.remove(&condemned_key(id)).await.map(drop)
    }

    /// Removes an object that no row names, and that it was condemned; whether it was there.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn object_remove(
        &self,
        _guard: &SweepGuard,
        id: ObjectId,
    ) -> Result<bool, BlobError> {
        let removed = self.remove(&id.key()).await?;
        self.object_pardon(id).await?;
        Ok(removed)
    }

    /// Objects of upload sessions, and those on their way to their places.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn temporary_list(&self) -> Result<Vec<TemporaryObject>, BlobError> {
        let mut found = Vec::new();
        for prefix in [UPLOADS, STAGING] {
            let listing = self.inner.store.list(Some(&Path::from(prefix)));
            let objects = listing.map_ok(|meta| {
                let session = meta.location.parts().nth(1);
                TemporaryObject {
                    session: session
                        .filter(|_| prefix == UPLOADS)
                        .map(|part| part.as_ref().to_owned()),
                    bytes: meta.size,
                    stored_at: time(&meta),
                    key: meta.location,
                }
            });
            let objects: Vec<_> = objects.try_collect().await.map_err(BlobError::Store)?;
            found.extend(objects);
        }
        Ok(found)
    }

    /// Removes an object that nobody will ask for any more; whether it was there.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn temporary_remove(&self, object: &TemporaryObject) -> Result<bool, BlobError> {
        self.remove(&object.key).await
    }

    async fn head(&self, key: &Path) -> Result<Option<ObjectMeta>, BlobError> {
        match self.inner.store.head(key).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(BlobError::Store(error)),
        }
    }

    /// Removes an object, if it is there; whether it was.
    pub(super) async fn remove(&self, key: &Path) -> Result<bool, BlobError> {
        match self.inner.store.delete(key).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(BlobError::Store(error)),
        }
    }
}
