//! Packs: the file contents that one commit brought, as a sequence of zstd frames.
//!
//! ```text
//! magic     8 bytes  "vm0pack\0"
//! version   u32 LE   1
//! reserved  u32 LE   0
//! frames    one zstd frame, with content size and checksum, for each chunk
//! ```
//!
//! Manifests say where each frame is and what it holds. The id of a pack is the SHA-256 of all its
//! bytes, and every chunk is verified against its own hash when it is read.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use fastcdc::v2020::StreamCDC;
use sha2::{Digest, Sha256};
use vm0_model::{ContentHash, PackId, limits};
use zstd::zstd_safe::CParameter;

use crate::manifest::{Chunk, FileContent, Manifest};

/// Magic, version 1, reserved.
pub(crate) const PACK_HEADER: [u8; 16] = *b"vm0pack\0\x01\0\0\0\0\0\0\0";
/// Checkpoints wait for it, so speed goes before size.
const COMPRESSION_LEVEL: i32 = 1;

/// The cut points of big files. They are part of deduplication, not of the format.
pub(crate) const CHUNK_MIN_BYTES: usize = limits::CHUNK_MIN_BYTES as usize;
pub(crate) const CHUNK_TARGET_BYTES: usize = 1 << 20;
/// No chunk is longer.
pub(crate) const CHUNK_MAX_BYTES: usize = limits::CHUNKING_MIN_BYTES as usize;
/// No frame is longer: zstd adds at most this to data that does not compress.
pub(crate) const FRAME_MAX_BYTES: usize = CHUNK_MAX_BYTES + (CHUNK_MAX_BYTES >> 8) + 1024;

/// The stored bytes of a chunk are not what the manifest says.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The frame does not decompress.
    #[error("decompress a chunk of pack {pack}")]
    Compression {
        /// The pack.
        pack: PackId,
        /// Why.
        source: io::Error,
    },
    /// The bytes have another length or hash.
    #[error("verify chunk {hash} of pack {pack}")]
    Hash {
        /// The pack.
        pack: PackId,
        /// The hash it should have.
        hash: ContentHash,
    },
}

/// Makes frames as packs have them.
pub(crate) fn frame_compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

/// Whether a chunk that a manifest names can exist.
pub(crate) fn chunk_is_plausible(chunk: &Chunk) -> bool {
    (1..=CHUNK_MAX_BYTES).contains(&(chunk.len as usize))
        && (1..=FRAME_MAX_BYTES).contains(&(chunk.stored_len as usize))
        && chunk.offset >= PACK_HEADER.len() as u64
        && chunk
            .offset
            .checked_add(u64::from(chunk.stored_len))
            .is_some()
}

/// The bytes of `chunk`, of which `frame` is the stored form.
pub(crate) fn chunk_read(chunk: &Chunk, frame: &[u8]) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::new();
    chunk_read_into(chunk, frame, &mut bytes)?;
    Ok(bytes)
}

/// The same in place of what is in `bytes`.
pub(crate) fn chunk_read_into(
    chunk: &Chunk,
    frame: &[u8],
    bytes: &mut Vec<u8>,
) -> Result<(), PackError> {
    let pack = chunk.pack;
    bytes.clear();
    bytes.reserve_exact(chunk.len as usize);
    zstd::bulk::Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(frame, bytes))
        .map_err(|source| PackError::Compression { pack, source })?;
    let intact =
        bytes.len() == chunk.len as usize && Sha256::digest(&*bytes)[..] == chunk.hash.digest()[..];
    intact.then_some(()).ok_or(PackError::Hash {
        pack,
        hash: chunk.hash,
    })
}

/// The content of a file while its pack is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenContent {
    pub(crate) size: u64,
    pub(crate) hash: ContentHash,
    chunks: Vec<WrittenChunk>,
}

/// A chunk whose pack has no id yet where it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WrittenChunk {
    pack: Option<PackId>,
    offset: u64,
    stored_len: u32,
    len: u32,
    hash: ContentHash,
}

impl WrittenContent {
    /// The content with its chunks' places, once the new pack has its id.
    pub(crate) fn place(self, pack: Option<PackId>, executable: bool) -> FileContent {
        let chunks = self.chunks.into_iter().map(|chunk| Chunk {
            pack: chunk.pack.or(pack).expect("a pack with a chunk has an id"),
            offset: chunk.offset,
            stored_len: chunk.stored_len,
            len: chunk.len,
            hash: chunk.hash,
        });
        FileContent {
            executable,
            size: self.size,
            hash: self.hash,
            chunks: chunks.collect(),
        }
    }
}

/// Writes a pack, leaving out every chunk that is stored already.
pub(crate) struct PackWriter<W> {
    out: W,
    len: u64,
    digest: Sha256,
    known: HashMap<ContentHash, WrittenChunk>,
    compressor: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl<W: Write> PackWriter<W> {
    /// A pack written to `out` that need not repeat what `base` has.
    pub(crate) fn new(out: W, base: Option<&Manifest>) -> io::Result<Self> {
        let compressor = frame_compressor()?;
        let known = base.into_iter().flat_map(Manifest::chunks).map(|chunk| {
            let written = WrittenChunk {
                pack: Some(chunk.pack),
                offset: chunk.offset,
                stored_len: chunk.stored_len,
                len: chunk.len,
                hash: chunk.hash,
            };
            (chunk.hash, written)
        });
        let known = known.collect();
        Ok(Self {
            out,
            len: 0,
            digest: Sha256::new(),
            known,
            compressor,
            buffer: Vec::new(),
        })
    }

    /// Stores all that `content` gives, at most `size` bytes of it. It may give fewer.
    pub(crate) fn write(&mut self, content: impl Read, size: u64) -> io::Result<WrittenContent> {
        if size < limits::CHUNKING_MIN_BYTES {
            return self.write_whole(content.take(size));
        }
        let mut content = HashingReader::new(content.take(size));
        let mut chunks = Vec::new();
        let pieces = StreamCDC::new(
            &mut content,
            CHUNK_MIN_BYTES,
            CHUNK_TARGET_BYTES,
            CHUNK_MAX_BYTES,
        );
        for piece in pieces {
            let piece = piece?.data;
            let hash = ContentHash::from_digest(Sha256::digest(&piece).into());
            chunks.push(self.chunk(&piece, hash)?);
        }
        let hash = ContentHash::from_digest(content.finish());
        let size = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        Ok(WrittenContent { size, hash, chunks })
    }

    /// Stores a file of one chunk, or of none.
    fn write_whole(&mut self, mut content: impl Read) -> io::Result<WrittenContent> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        content.read_to_end(&mut buffer)?;
        let hash = ContentHash::from_digest(Sha256::digest(&buffer).into());
        let mut chunks = Vec::new();
        if !buffer.is_empty() {
            chunks.push(self.chunk(&buffer, hash)?);
        }
        let size = buffer.len() as u64;
        self.buffer = buffer;
        Ok(WrittenContent { size, hash, chunks })
    }

    fn chunk(&mut self, bytes: &[u8], hash: ContentHash) -> io::Result<WrittenChunk> {
        if let Some(chunk) = self.known.get(&hash) {
            return Ok(*chunk);
        }
        if self.len == 0 {
            self.append(&PACK_HEADER)?;
        }
        let frame = self.compressor.compress(bytes)?;
        let chunk = WrittenChunk {
            pack: None,
            offset: self.len,
            stored_len: u32::try_from(frame.len()).expect("a frame is a few MiB"),
            len: u32::try_from(bytes.len()).expect("a chunk is a few MiB"),
            hash,
        };
        self.append(&frame)?;
        self.known.insert(hash, chunk);
        Ok(chunk)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Flushes the pack; its id and length, or none if nothing new was stored.
    pub(crate) fn finish(mut self) -> io::Result<Option<(PackId, u64)>> {
        self.out.flush()?;
        let id = PackId::from_digest(self.digest.finalize().into());
        Ok((self.len > 0).then_some((id, self.len)))
    }
}

/// Hashes what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    digest: Sha256,
}

impl<R> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
        }
    }

    /// SHA-256 of all that was read.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.digest.finalize().into()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        Ok(count)
    }
}
