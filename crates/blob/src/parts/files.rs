//! Whether the chunks of big files, new ones and old ones together, make up the files.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use vm0_model::{ContentHash, PackId};

use crate::blobs::Blobs;
use crate::commit::{CommitError, MemberFault, UploadFault};
use crate::error::BlobError;
use crate::fetch::{PackSource, PackSourceError, fetch, plan};
use crate::manifest::Chunk;
use crate::pack::chunk_read_into;

/// A file whose chunks are to be read.
pub(super) struct Unproven<'a> {
    pub(super) path: &'a str,
    pub(super) hash: ContentHash,
    pub(super) chunks: Vec<Chunk>,
}

/// The packs of the store, and parts that are none yet.
pub(super) struct PartsAndPacks {
    pub(super) blobs: Blobs,
    pub(super) parts: HashMap<PackId, PathBuf>,
}

#[async_trait]
impl PackSource for PartsAndPacks {
    async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError> {
        let Some(path) = self.parts.get(&pack).cloned() else {
            return self.blobs.pack_range(pack, range).await;
        };
        let read = move || {
            let len = usize::try_from(range.end - range.start).unwrap_or_default();
            let mut bytes = vec![0; len];
            File::open(path)?.read_exact_at(&mut bytes, range.start)?;
            Ok::<_, std::io::Error>(bytes.into())
        };
        let bytes = tokio::task::spawn_blocking(read).await;
        let failed = |source: BlobError| PackSourceError {
            pack,
            source: source.into(),
        };
        bytes
            .map_err(|error| failed(error.into()))?
            .map_err(|error| failed(error.into()))
    }
}

impl PartsAndPacks {
    /// Reads a file from its chunks. Blocks; `runtime` does the reading.
    pub(super) fn verify(
        &self,
        runtime: &tokio::runtime::Handle,
        file: &Unproven<'_>,
    ) -> Result<(), CommitError> {
        let mut answers = std::pin::pin!(fetch(self, plan(file.chunks.iter().copied())));
        let mut digest = Sha256::new();
        let mut plain = Vec::new();
        while let Some(answer) = runtime.block_on(answers.next()) {
            let mut answer = answer.map_err(BlobError::from)?;
            while let Some((chunk, frame)) = answer.next() {
                if let Err(error) = chunk_read_into(&chunk, &frame, &mut plain) {
                    if self.parts.contains_key(&chunk.pack) {
                        return Err(other_hash(file));
                    }
                    return Err(BlobError::from(error).into());
                }
                digest.update(&plain);
            }
        }
        if digest.finalize()[..] != file.hash.digest()[..] {
            return Err(other_hash(file));
        }
        Ok(())
    }
}

fn other_hash(file: &Unproven<'_>) -> CommitError {
    let path = file.path.to_owned();
    UploadFault::File {
        path,
        fault: MemberFault::Hash,
    }
    .into()
}
