//! The objects of runs: packs, manifests, histories.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;
use vm0_blob::{BlobError, ByteStream};
use vm0_model::{ApiError, Epoch, ErrorCode, HistoryId, ManifestId, PackId, RunId};

use crate::app::context::App;
use crate::app::error::AppError;

/// An object that a runner stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunObject {
    /// New file contents.
    Pack(PackId),
    /// The entries of a version.
    Manifest(ManifestId),
    /// A conversation.
    History(HistoryId),
}

impl App {
    /// Encoded bytes of a manifest.
    pub(crate) async fn manifest_read(&self, id: ManifestId) -> Result<ByteStream, AppError> {
        self.blobs
            .manifest_get_encoded(id)
            .await
            .map_err(object_fault)
    }

    /// Bytes of a pack.
    pub(crate) async fn pack_read(
        &self,
        id: PackId,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, AppError> {
        self.blobs.pack_get(id, range).await.map_err(object_fault)
    }

    /// Length of a pack.
    pub(crate) async fn pack_len(&self, id: PackId) -> Result<u64, AppError> {
        self.blobs.pack_len(id).await.map_err(object_fault)
    }

    /// Bytes of a history.
    pub(crate) async fn history_read(&self, id: HistoryId) -> Result<ByteStream, AppError> {
        self.blobs.history_get(id).await.map_err(object_fault)
    }

    /// Stores an object of a run under its lease.
    pub(crate) async fn run_object_put<S, E>(
        &self,
        run: RunId,
        epoch: Epoch,
        object: RunObject,
        stream: S,
    ) -> Result<(), AppError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.run_renew(run, epoch).await?;
        let stored = match object {
            RunObject::Pack(id) => {
                let limit = self.settings.version_max_bytes.saturating_mul(2);
                self.blobs.pack_put(stream, id, limit).await.map(drop)
            }
            RunObject::Manifest(id) => self.blobs.manifest_put_encoded(stream, id).await.map(drop),
            RunObject::History(id) => self.blobs.history_put(stream, id).await.map(drop),
        };
        stored.map_err(object_fault)
    }
}

/// What the runner is told of a fault of an object.
pub(super) fn object_fault(error: BlobError) -> AppError {
    let code = match &error {
        BlobError::NotFound { .. } => ErrorCode::ResourceNotFound,
        BlobError::TooLarge { .. } => ErrorCode::PayloadTooLarge,
        BlobError::Mismatch { .. }
        | BlobError::Receive(_)
        | BlobError::Manifest(_)
        | BlobError::Dangling { .. } => ErrorCode::InvalidParameter,
        _ => return error.into(),
    };
    ApiError::new(code, format!("failed to {error}"))
        .with_param("body")
        .into()
}
