//! Objects of upload sessions, which exist until the commit.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use object_store::path::Path;

use super::objects::ObjectReader;
use super::staged::Staged;
use super::store::{Blobs, ByteStream};
use crate::error::BlobError;
use crate::object::{upload_key, upload_prefix};

/// An object of an upload session: the two that a client puts (API 8.4), and what it declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadObject {
    /// `archive.tar.gz`.
    Archive,
    /// `manifest.json`.
    Manifest,
    /// The declared files, as the server keeps them until the commit.
    Declaration,
    /// Of an upload in parts, what it builds on, kept as long.
    Base,
    /// A part, counted from 0.
    Part(u32),
}

impl UploadObject {
    /// Its name in the API.
    pub fn file_name(self) -> Cow<'static, str> {
        match self {
            Self::Archive => "archive.tar.gz".into(),
            Self::Manifest => "manifest.json".into(),
            Self::Declaration => "declaration.json".into(),
            Self::Base => "base.json".into(),
            Self::Part(number) => format!("{PART_PREFIX}{number}").into(),
        }
    }

    /// The part of this number.
    pub(crate) fn part(number: usize) -> Self {
        Self::Part(u32::try_from(number).expect("an upload has few parts"))
    }

    /// The object of this name that a client may put.
    pub fn to_be_put(file_name: &str) -> Option<Self> {
        let part = || file_name.strip_prefix(PART_PREFIX)?.parse().ok();
        let named = [Self::Archive, Self::Manifest].into_iter();
        let mut objects = named.chain(part().map(Self::Part));
        objects.find(|object| object.file_name() == file_name)
    }
}

const PART_PREFIX: &str = "part-";

impl Blobs {
    /// Stores or replaces an object of an upload session; its length. Returns once it is durable.
    ///
    /// # Errors
    ///
    /// When the stream fails or is longer than `limit`. Then what was there before stays.
    pub async fn upload_put<S, E>(
        &self,
        session: &str,
        object: UploadObject,
        stream: S,
        limit: u64,
    ) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = upload_key(session, &object.file_name())?;
        let (staged, len) = self.stage_stream(&key, stream, limit, |_| {}).await?;
        self.publish(staged, &key).await?;
        Ok(len)
    }

    /// An object of an upload session, if it was put.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn upload_read(
        &self,
        session: &str,
        object: UploadObject,
    ) -> Result<Option<ByteStream>, BlobError> {
        match self
            .get_stream(&upload_key(session, &object.file_name())?, None)
            .await
        {
            Ok(stream) => Ok(Some(stream)),
            Err(BlobError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes all objects of an upload session, if they are there.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn upload_delete(&self, session: &str) -> Result<(), BlobError> {
        for key in self.upload_keys(session).await? {
            self.remove(&key).await?;
        }
        Ok(())
    }

    /// The numbers of the parts that were put in an upload session.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn upload_parts(&self, session: &str) -> Result<BTreeSet<u32>, BlobError> {
        let keys = self.upload_keys(session).await?;
        let objects = keys
            .iter()
            .filter_map(|key| UploadObject::to_be_put(key.filename()?));
        let numbers = objects.filter_map(|object| match object {
            UploadObject::Part(number) => Some(number),
            _ => None,
        });
        Ok(numbers.collect())
    }

    async fn upload_keys(&self, session: &str) -> Result<Vec<Path>, BlobError> {
        let listing = self.inner.store.list(Some(&upload_prefix(session)?));
        let keys = listing.map_ok(|meta| meta.location).try_collect();
        keys.await.map_err(BlobError::Store)
    }

    /// An object of an upload session as it is now, to be published elsewhere, if it was put.
    pub(crate) async fn upload_snapshot(
        &self,
        session: &str,
        object: UploadObject,
    ) -> Result<Option<Staged>, BlobError> {
        let key = upload_key(session, &object.file_name())?;
        let root = self.inner.root.clone();
        let link = move || Staged::link(&root, &key);
        match tokio::task::spawn_blocking(link).await? {
            Ok(staged) => Ok(Some(staged)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// An object of an upload session for blocking code, if it was put.
    pub(crate) async fn upload_open(
        &self,
        session: &str,
        object: UploadObject,
    ) -> Result<Option<ObjectReader>, BlobError> {
        match self.open(&upload_key(session, &object.file_name())?).await {
            Ok(reader) => Ok(Some(reader)),
            Err(BlobError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
