//! The client's side: of which chunks a file consists, and parts made of chunks.

use std::io::{self, Read};

use fastcdc::v2020::StreamCDC;
use sha2::{Digest, Sha256};
use vm0_model::ContentHash;
use vm0_model::wire::storages::DeclaredChunk;

use crate::pack::{
    CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, CHUNK_TARGET_BYTES, HashingReader, PACK_HEADER,
    frame_compressor,
};

/// A file as an upload in parts declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkedContent {
    /// SHA-256 of all.
    pub hash: ContentHash,
    /// The chunks, in order.
    pub chunks: Vec<DeclaredChunk>,
}

/// Cuts content where the store itself would, so that what versions have in common is found.
///
/// # Errors
///
/// When the content cannot be read.
pub fn chunk_content(content: impl Read) -> io::Result<ChunkedContent> {
    let mut content = HashingReader::new(content);
    let mut chunks = Vec::new();
    let pieces = StreamCDC::new(
        &mut content,
        CHUNK_MIN_BYTES,
        CHUNK_TARGET_BYTES,
        CHUNK_MAX_BYTES,
    );
    for piece in pieces {
        let piece = piece?.data;
        chunks.push(DeclaredChunk {
            hash: ContentHash::from_digest(Sha256::digest(&piece).into()),
            size: u32::try_from(piece.len()).expect("a chunk is a few MiB"),
        });
    }
    let hash = ContentHash::from_digest(content.finish());
    Ok(ChunkedContent { hash, chunks })
}

/// A part on its way to be sent, in memory.
pub struct PartBuilder {
    compressor: zstd::bulk::Compressor<'static>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for PartBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.len();
        f.debug_struct("PartBuilder")
            .field("bytes", &bytes)
            .finish()
    }
}

impl PartBuilder {
    /// A part without chunks.
    ///
    /// # Errors
    ///
    /// When there is no memory for compressing.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: frame_compressor()?,
            bytes: PACK_HEADER.to_vec(),
        })
    }

    /// Adds the next chunk.
    ///
    /// # Errors
    ///
    /// When it cannot be compressed.
    pub fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        let frame = self.compressor.compress(chunk)?;
        self.bytes.extend_from_slice(&frame);
        Ok(())
    }

    /// The part as it is sent.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
