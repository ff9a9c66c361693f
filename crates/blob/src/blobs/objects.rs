//! What can be done with each kind of object.

use std::io::Read;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStoreExt};
use vm0_model::{HistoryId, ManifestId, PackId, limits};

use super::hold::KeepGuard;
use super::store::{Blobs, ByteStream, store_error};
use crate::error::BlobError;
use crate::fetch::{PackSource, PackSourceError};
use crate::manifest::{self, Manifest, PackEnds};
use crate::object::{ObjectId, history_key, manifest_key, pack_key};

/// An object as blocking code reads it.
pub(crate) type ObjectReader = Box<dyn Read + Send>;

impl Blobs {
    /// Stores a pack; its length. Returns once it is durable.
    ///
    /// # Errors
    ///
    /// When the stream fails, is longer than `limit`, or is not the pack `declared`. Then nothing
    /// is stored.
    pub async fn pack_put<S, E>(
        &self,
        stream: S,
        declared: PackId,
        limit: u64,
    ) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.put_declared(&pack_key(declared), stream, declared.digest(), limit)
            .await
    }

    /// The bytes of a pack, or those in `range`, which ends at the end of the pack at the latest.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn pack_get(
        &self,
        pack: PackId,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, BlobError> {
        self.get_stream(&pack_key(pack), range).await
    }

    /// Bytes of a pack.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn pack_len(&self, pack: PackId) -> Result<u64, BlobError> {
        let key = pack_key(pack);
        let meta = self.inner.store.head(&key).await;
        meta.map(|meta| meta.size)
            .map_err(|error| store_error(&key, error))
    }

    /// Stores a manifest. Returns once it is durable.
    ///
    /// # Errors
    ///
    /// When it is too large or the store fails.
    pub async fn manifest_put(&self, manifest: &Manifest) -> Result<ManifestId, BlobError> {
        let (id, bytes) = manifest.encode()?;
        self.put_bytes(&manifest_key(id), bytes).await?;
        Ok(id)
    }

    /// Stores an encoded manifest and decodes it. Returns once it is durable.
    ///
    /// # Errors
    ///
    /// When the stream fails or is not the manifest `declared`, or the bytes are no manifest. Then
    /// nothing is stored.
    pub async fn manifest_put_encoded<S, E>(
        &self,
        stream: S,
        declared: ManifestId,
    ) -> Result<Manifest, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = manifest_key(declared);
        let received = self
            .receive(&key, stream, limits::MANIFEST_MAX_BYTES)
            .await?;
        if received.digest != *declared.digest() {
            return Err(BlobError::Mismatch {
                key: key.to_string(),
            });
        }
        let path = received.staged.path().to_owned();
        let decode = move || Ok::<_, BlobError>(Manifest::decode(&std::fs::read(path)?)?);
        let manifest = tokio::task::spawn_blocking(decode).await??;
        self.publish(received.staged, &key).await?;
        Ok(manifest)
    }

    /// A stored manifest.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn manifest_get(&self, id: ManifestId) -> Result<Manifest, BlobError> {
        let bytes = self
            .get_bytes(&manifest_key(id), limits::MANIFEST_MAX_BYTES)
            .await?;
        let manifest = tokio::task::spawn_blocking(move || Manifest::decode(&bytes)).await?;
        Ok(manifest?)
    }

    /// The encoded bytes of a stored manifest.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn manifest_get_encoded(&self, id: ManifestId) -> Result<ByteStream, BlobError> {
        self.get_stream(&manifest_key(id), None).await
    }

    /// The packs that a stored manifest names, in little memory. Every byte of the manifest is
    /// verified.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored, [`BlobError::Manifest`] or
    /// [`BlobError::Mismatch`] when it is damaged.
    pub async fn manifest_packs(&self, id: ManifestId) -> Result<Vec<PackId>, BlobError> {
        let key = manifest_key(id);
        let reader = self.open(&key).await?;
        let (packs, digest) =
            tokio::task::spawn_blocking(move || manifest::named_packs(reader)).await??;
        if digest != *id.digest() {
            return Err(BlobError::Mismatch {
                key: key.to_string(),
            });
        }
        Ok(packs)
    }

    /// Makes sure that a manifest and every byte it names are stored and stay; to be done before a
    /// row names it, which may be as long as the guard is held.
    ///
    /// # Errors
    ///
    /// [`BlobError::Dangling`] for the first pack that is missing or too short.
    pub async fn manifest_keep(
        &self,
        guard: &KeepGuard,
        id: ManifestId,
        manifest: &Manifest,
    ) -> Result<(), BlobError> {
        self.version_keep(guard, id, manifest.pack_ends()).await
    }

    /// Makes sure that a manifest that is stored, and packs up to these ends, stay.
    pub(crate) async fn version_keep(
        &self,
        _guard: &KeepGuard,
        id: ManifestId,
        ends: PackEnds,
    ) -> Result<(), BlobError> {
        self.object_pardon(ObjectId::Manifest(id)).await?;
        for pack in ends.keys() {
            self.object_pardon(ObjectId::Pack(*pack)).await?;
        }
        self.packs_check(ends).await
    }

    /// Makes sure that a history is stored and stays; to be done before a row names it, which may
    /// be as long as the guard is held.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn history_keep(&self, _guard: &KeepGuard, id: HistoryId) -> Result<(), BlobError> {
        self.object_pardon(ObjectId::History(id)).await?;
        let key = history_key(id);
        let found = self.inner.store.head(&key).await;
        found.map(drop).map_err(|error| store_error(&key, error))
    }

    async fn packs_check(&self, ends: PackEnds) -> Result<(), BlobError> {
        for (pack, end) in ends {
            match self.pack_len(pack).await {
                Ok(len) if len >= end => {}
                Ok(_) | Err(BlobError::NotFound { .. }) => {
                    return Err(BlobError::Dangling { pack });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stores a conversation history; its length. Returns once it is durable.
    ///
    /// # Errors
    ///
    /// When the stream fails, is longer than [`limits::HISTORY_MAX_BYTES`], or is not the history
    /// `declared`. Then nothing is stored.
    pub async fn history_put<S, E>(&self, stream: S, declared: HistoryId) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = history_key(declared);
        self.put_declared(&key, stream, declared.digest(), limits::HISTORY_MAX_BYTES)
            .await
    }

    /// The bytes of a conversation history.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when it is not stored.
    pub async fn history_get(&self, id: HistoryId) -> Result<ByteStream, BlobError> {
        self.get_stream(&history_key(id), None).await
    }

    /// An object for blocking code.
    pub(crate) async fn open(&self, key: &Path) -> Result<ObjectReader, BlobError> {
        let result = self.get(key, None).await?;
        if let GetResultPayload::File(file, _) = result.payload {
            return Ok(Box::new(file));
        }
        let stream = result
            .into_stream()
            .map(|bytes| bytes.map_err(std::io::Error::other));
        let reader = tokio_util::io::StreamReader::new(stream);
        Ok(Box::new(tokio_util::io::SyncIoBridge::new(reader)))
    }
}

#[async_trait]
impl PackSource for Blobs {
    async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError> {
        let bytes = self.inner.store.get_range(&pack_key(pack), range).await;
        bytes.map_err(|error| PackSourceError {
            pack,
            source: error.into(),
        })
    }
}
