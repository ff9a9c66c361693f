//! Whether stored objects are still what their ids say.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use vm0_model::{ManifestId, PackId, limits};

use crate::blobs::Blobs;
use crate::error::BlobError;
use crate::fetch::{Fetched, fetch, plan};
use crate::manifest::{Chunk, Manifest};
use crate::object::{ObjectId, manifest_key};
use crate::pack::chunk_read;

/// How an object was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectState {
    /// Every byte is as it was stored.
    Sound,
    /// It is not there.
    Missing,
    /// It is there, and this is wrong with it.
    Corrupt(String),
}

const OTHER_BYTES: &str = "its bytes are not those of its id";

impl Blobs {
    /// Hashes an object, a piece at a time.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn object_verify(&self, id: ObjectId) -> Result<ObjectState, BlobError> {
        let mut bytes = match self.get_stream(&id.key(), None).await {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound { .. }) => return Ok(ObjectState::Missing),
            Err(error) => return Err(error),
        };
        let mut digest = Sha256::new();
        while let Some(piece) = bytes.next().await {
            match piece {
                Ok(piece) => digest.update(&piece),
                Err(error) => return Ok(ObjectState::Corrupt(format!("read: {error}"))),
            }
        }
        let intact = digest.finalize()[..] == id.digest()[..];
        Ok(match intact {
            true => ObjectState::Sound,
            false => ObjectState::Corrupt(OTHER_BYTES.to_owned()),
        })
    }

    /// Hashes and decodes a manifest, which is given if it is sound.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn manifest_verify(
        &self,
        id: ManifestId,
    ) -> Result<(ObjectState, Option<Manifest>), BlobError> {
        let state = self.object_verify(ObjectId::Manifest(id)).await?;
        if state != ObjectState::Sound {
            return Ok((state, None));
        }
        let bytes = match self
            .get_bytes(&manifest_key(id), limits::MANIFEST_MAX_BYTES)
            .await
        {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound { .. }) => return Ok((ObjectState::Missing, None)),
            Err(error) => return Err(error),
        };
        Ok(
            match spawn_blocking(move || Manifest::decode(&bytes)).await? {
                Ok(manifest) => (ObjectState::Sound, Some(manifest)),
                Err(error) => (ObjectState::Corrupt(format!("{error}")), None),
            },
        )
    }

    /// Hashes a pack, and then each chunk that manifests say is in it, in bounded memory.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn pack_verify(
        &self,
        id: PackId,
        chunks: &BTreeSet<Chunk>,
    ) -> Result<ObjectState, BlobError> {
        let whole = self.object_verify(ObjectId::Pack(id)).await?;
        if whole == ObjectState::Missing {
            return Ok(whole);
        }
        let intact = self.intact_chunks(chunks).await?;
        let damaged = chunks.len() - intact;
        Ok(match (whole, damaged) {
            (ObjectState::Corrupt(why), _) => {
                let all = chunks.len();
                ObjectState::Corrupt(format!("{why}; {damaged} of {all} chunks are damaged"))
            }
            (state, 0) => state,
            (_, _) => ObjectState::Corrupt(format!(
                "{damaged} chunks are not what manifests say of them"
            )),
        })
    }

    async fn intact_chunks(&self, chunks: &BTreeSet<Chunk>) -> Result<usize, BlobError> {
        let mut intact = 0;
        // One at a time: a request that fails takes no other with it.
        for request in plan(chunks.iter().copied()) {
            let mut answer = std::pin::pin!(fetch(self, vec![request]));
            if let Ok(Some(answer)) = answer.try_next().await {
                intact += spawn_blocking(move || intact_frames(answer)).await?;
            }
        }
        Ok(intact)
    }
}

fn intact_frames(mut answer: Fetched) -> usize {
    let mut intact = 0;
    while let Some((chunk, frame)) = answer.next() {
        intact += usize::from(chunk_read(&chunk, &frame).is_ok());
    }
    intact
}
