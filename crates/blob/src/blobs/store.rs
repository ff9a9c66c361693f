//! Opening the store, and the moves that all kinds of objects share.

use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::staged::{self, Staged};
use crate::error::BlobError;

/// Bytes read from a file at a time.
const READ_BYTES: usize = 256 << 10;

/// The bytes of an object, in order.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// All objects of a deployment. Clones share one store.
#[derive(Debug, Clone)]
pub struct Blobs {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) root: PathBuf,
}

/// The bytes that were stored for an object.
pub(super) struct Received {
    pub(super) staged: Staged,
    pub(super) digest: [u8; 32],
    pub(super) len: u64,
}

impl Blobs {
    /// Objects in the local directory `dir`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn local(dir: &FilePath) -> Result<Self, BlobError> {
        staged::prepare(dir)?;
        let root = dir.canonicalize()?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(BlobError::Store)?;
        let store: Arc<dyn ObjectStore> =
            Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
        Ok(Self {
            inner: Arc::new(Inner { store, root }),
        })
    }

    /// Writes a stream to a staged file while hashing it.
    pub(super) async fn receive<S, E>(
        &self,
        key: &Path,
        stream: S,
        limit: u64,
    ) -> Result<Received, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut digest = Sha256::new();
        let staged = self.stage_stream(key, stream, limit, |bytes| digest.update(bytes));
        let (staged, len) = staged.await?;
        Ok(Received {
            staged,
            digest: digest.finalize().into(),
            len,
        })
    }

    /// Writes a stream to a staged file and calls `each` with every piece of it; how many bytes
    /// there are.
    pub(super) async fn stage_stream<S, E>(
        &self,
        key: &Path,
        stream: S,
        limit: u64,
        mut each: impl FnMut(&[u8]) + Send,
    ) -> Result<(Staged, u64), BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (staged, file) = Staged::create(&self.inner.root)?;
        let mut file = tokio::fs::File::from_std(file);
        let mut len = 0u64;
        let mut stream = std::pin::pin!(stream);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| BlobError::Receive(error.into()))?;
            len += bytes.len() as u64;
            if len > limit {
                return Err(BlobError::TooLarge {
                    key: key.to_string(),
                    limit,
                });
            }
            each(&bytes);
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        Ok((staged, len))
    }

    /// Stores a stream at `key` if its SHA-256 is `declared`.
    pub(super) async fn put_declared<S, E>(
        &self,
        key: &Path,
        stream: S,
        declared: &[u8; 32],
        limit: u64,
    ) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let received = self.receive(key, stream, limit).await?;
        if received.digest != *declared {
            return Err(BlobError::Mismatch {
                key: key.to_string(),
            });
        }
        self.publish(received.staged, key).await?;
        Ok(received.len)
    }

    pub(crate) async fn publish(&self, staged: Staged, key: &Path) -> Result<(), BlobError> {
        staged.publish(&self.inner.store, key).await
    }

    pub(super) async fn put_bytes(&self, key: &Path, bytes: Vec<u8>) -> Result<(), BlobError> {
        let put = self.inner.store.put(key, bytes.into()).await;
        put.map(drop).map_err(BlobError::Store)
    }

    pub(super) async fn get(
        &self,
        key: &Path,
        range: Option<Range<u64>>,
    ) -> Result<GetResult, BlobError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let result = self.inner.store.get_opts(key, options).await;
        result.map_err(|error| store_error(key, error))
    }

    pub(crate) async fn get_stream(
        &self,
        key: &Path,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, BlobError> {
        let GetResult { payload, range, .. } = self.get(key, range).await?;
        match payload {
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(io::SeekFrom::Start(range.start)).await?;
                let part = file.take(range.end - range.start);
                Ok(ReaderStream::with_capacity(part, READ_BYTES).boxed())
            }
            GetResultPayload::Stream(stream) => Ok(stream.map_err(io::Error::other).boxed()),
        }
    }

    /// The whole object, which has at most `limit` bytes.
    pub(crate) async fn get_bytes(&self, key: &Path, limit: u64) -> Result<Bytes, BlobError> {
        let result = self.get(key, None).await?;
        if result.meta.size > limit {
            return Err(BlobError::TooLarge {
                key: key.to_string(),
                limit,
            });
        }
        result.bytes().await.map_err(BlobError::Store)
    }
}

pub(crate) fn store_error(key: &Path, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::NotFound {
            key: key.to_string(),
        },
        error => BlobError::Store(error),
    }
}
