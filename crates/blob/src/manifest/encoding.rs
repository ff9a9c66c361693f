//! The stored form of a manifest.
//!
//! ```text
//! magic      8 bytes   "vm0mnfst"
//! version    u32 LE    1
//! reserved   u32 LE    0
//! plain_len  u64 LE    length of the body before compression
//! checksum   32 bytes  SHA-256 of the body before compression
//! body       zstd frame of: Head, then for each entry a StoredEntry and its StoredChunks
//! ```
//!
//! The parts of the body are postcard values, one after the other, so that a decoder can check
//! every count before it allocates for it.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vm0_model::{ContentHash, ManifestId, PackId, limits};

use super::entries::{Chunk, Content, Entry, FileContent, Manifest, check_count};
use super::error::ManifestError;
use crate::error::BlobError;
use crate::pack::{CHUNK_MIN_BYTES, HashingReader};

const MAGIC: [u8; 8] = *b"vm0mnfst";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 56;
const COMPRESSION_LEVEL: i32 = 3;

/// Chunks of one manifest: one for each small file, and the most that big ones can be cut into.
const CHUNKS_MAX: usize =
    limits::VERSION_MAX_ENTRIES + (limits::VERSION_MAX_BYTES / CHUNK_MIN_BYTES as u64) as usize;

#[derive(Serialize, Deserialize)]
struct Head {
    pack_count: u32,
    entry_count: u32,
}

#[derive(Serialize, Deserialize)]
enum StoredEntry<'a> {
    Plain(#[serde(borrow)] StoredFile<'a>),
    Executable(#[serde(borrow)] StoredFile<'a>),
    Symlink { path: &'a str, target: &'a str },
}

#[derive(Serialize, Deserialize)]
struct StoredFile<'a> {
    path: &'a str,
    size: u64,
    hash: [u8; 32],
    chunk_count: u32,
}

/// `hash` is left out where it is that of the whole file.
#[derive(Serialize, Deserialize)]
struct StoredChunk {
    pack: u32,
    offset: u64,
    stored_len: u32,
    len: u32,
    hash: Option<[u8; 32]>,
}

impl Manifest {
    /// The stored form, and its id.
    ///
    /// # Errors
    ///
    /// When it is larger than [`limits::MANIFEST_MAX_BYTES`].
    pub fn encode(&self) -> Result<(ManifestId, Vec<u8>), ManifestError> {
        let body = encode_body(self)?;
        if body.len() as u64 > limits::MANIFEST_MAX_BYTES {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() / 2);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&body));
        let packed =
            zstd::bulk::compress(&body, COMPRESSION_LEVEL).map_err(ManifestError::Compression)?;
        bytes.extend_from_slice(&packed);
        Ok((
            ManifestId::from_digest(Sha256::digest(&bytes).into()),
            bytes,
        ))
    }

    /// Reads the stored form. Any bytes are safe to pass.
    ///
    /// # Errors
    ///
    /// When they are not a manifest that keeps every rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let body = decode_body(bytes)?;
        let mut input = Input { rest: &body };
        let head: Head = input.take()?;
        check_count("packs", head.pack_count as usize, CHUNKS_MAX)?;
        check_count(
            "entries",
            head.entry_count as usize,
            limits::VERSION_MAX_ENTRIES,
        )?;
        let mut packs = Vec::new();
        for _ in 0..head.pack_count {
            packs.push(PackId::from_digest(input.take()?));
        }
        let mut chunks_left = CHUNKS_MAX;
        let mut entries = Vec::new();
        for _ in 0..head.entry_count {
            entries.push(input.entry(&packs, &mut chunks_left)?);
        }
        if !input.rest.is_empty() {
            return Err(ManifestError::Trailing);
        }
        Self::from_sorted(entries)
    }
}

/// The packs that a manifest names, and the SHA-256 of all its bytes, which the caller compares
/// with its id: until then the packs are not to be trusted. Takes little memory, because what
/// follows the packs is not decompressed.
pub(crate) fn named_packs(bytes: impl Read) -> Result<(Vec<PackId>, [u8; 32]), BlobError> {
    let mut bytes = BufReader::new(HashingReader::new(bytes));
    let mut header = [0; HEADER_BYTES];
    bytes.read_exact(&mut header)?;
    check_header(&header)?;
    let mut body =
        zstd::stream::read::Decoder::with_buffer(bytes).map_err(ManifestError::Compression)?;
    let mut scratch = [0; 0];
    let (head, _) =
        postcard::from_io::<Head, _>((&mut body, &mut scratch)).map_err(ManifestError::Encoding)?;
    check_count("packs", head.pack_count as usize, CHUNKS_MAX)?;
    let mut packs = Vec::new();
    for _ in 0..head.pack_count {
        let mut digest = [0; 32];
        body.read_exact(&mut digest)
            .map_err(ManifestError::Compression)?;
        packs.push(PackId::from_digest(digest));
    }
    let mut rest = body.finish();
    std::io::copy(&mut rest, &mut std::io::sink())?;
    Ok((packs, rest.into_inner().finish()))
}

fn too_large() -> ManifestError {
    ManifestError::TooLarge {
        what: "bytes",
        limit: limits::MANIFEST_MAX_BYTES,
    }
}

fn encode_body(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    let packs: Vec<PackId> = manifest.packs().into_iter().collect();
    let index: HashMap<PackId, u32> = packs.iter().copied().zip(0..).collect();
    let head = Head {
        pack_count: count(packs.len())?,
        entry_count: count(manifest.entries().len())?,
    };
    let mut output = Output { body: Vec::new() };
    output.put(&head)?;
    for pack in &packs {
        output.put(pack.digest())?;
    }
    for entry in manifest.entries() {
        output.entry(entry, &index)?;
    }
    Ok(output.body)
}

fn count(number: usize) -> Result<u32, ManifestError> {
    u32::try_from(number).map_err(|_| ManifestError::TooLarge {
        what: "items",
        limit: u64::from(u32::MAX),
    })
}

struct Output {
    body: Vec<u8>,
}

impl Output {
    fn put<T: Serialize>(&mut self, value: &T) -> Result<(), ManifestError> {
        let body = std::mem::take(&mut self.body);
        self.body = postcard::to_extend(value, body).map_err(ManifestError::Encoding)?;
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, packs: &HashMap<PackId, u32>) -> Result<(), ManifestError> {
        let path = entry.path.as_str();
        let file = match &entry.content {
            Content::Symlink { target } => {
                return self.put(&StoredEntry::Symlink { path, target });
            }
            Content::File(file) => file,
        };
        let stored = StoredFile {
            path,
            size: file.size,
            hash: *file.hash.digest(),
            chunk_count: count(file.chunks.len())?,
        };
        self.put(&match file.executable {
            true => StoredEntry::Executable(stored),
            false => StoredEntry::Plain(stored),
        })?;
        for chunk in &file.chunks {
            self.put(&StoredChunk {
                pack: packs[&chunk.pack],
                offset: chunk.offset,
                stored_len: chunk.stored_len,
                len: chunk.len,
                hash: (file.chunks.len() > 1).then_some(*chunk.hash.digest()),
            })?;
        }
        Ok(())
    }
}

fn decode_body(bytes: &[u8]) -> Result<Vec<u8>, ManifestError> {
    if bytes.len() as u64 > limits::MANIFEST_MAX_BYTES {
        return Err(too_large());
    }
    let (header, packed) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or(ManifestError::Magic)?;
    let plain_len = check_header(header)?;
    let mut body = Vec::new();
    zstd::stream::read::Decoder::with_buffer(packed)
        .and_then(|decoder| decoder.take(plain_len + 1).read_to_end(&mut body))
        .map_err(ManifestError::Compression)?;
    let intact = body.len() as u64 == plain_len && Sha256::digest(&body)[..] == header[24..56];
    intact.then_some(body).ok_or(ManifestError::Checksum)
}

/// The length of the body before compression.
fn check_header(header: &[u8]) -> Result<u64, ManifestError> {
    if header[..8] != MAGIC || header[12..16] != [0; 4] {
        return Err(ManifestError::Magic);
    }
    let version = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(ManifestError::Version { version });
    }
    let plain_len = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
    if plain_len > limits::MANIFEST_MAX_BYTES {
        return Err(too_large());
    }
    Ok(plain_len)
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take<T: Deserialize<'a>>(&mut self) -> Result<T, ManifestError> {
        let (value, rest) =
            postcard::take_from_bytes(self.rest).map_err(ManifestError::Encoding)?;
        self.rest = rest;
        Ok(value)
    }

    fn entry(&mut self, packs: &[PackId], chunks_left: &mut usize) -> Result<Entry, ManifestError> {
        let (executable, file) = match self.take()? {
            StoredEntry::Symlink { path, target } => {
                let content = Content::Symlink {
                    target: target.to_owned(),
                };
                return Ok(Entry {
                    path: path.to_owned(),
                    content,
                });
            }
            StoredEntry::Plain(file) => (false, file),
            StoredEntry::Executable(file) => (true, file),
        };
        let chunk_count = file.chunk_count as usize;
        check_count("chunks", chunk_count, *chunks_left)?;
        *chunks_left -= chunk_count;
        let hash = ContentHash::from_digest(file.hash);
        let mut chunks = Vec::new();
        for _ in 0..chunk_count {
            let chunk = self.chunk(packs, (chunk_count == 1).then_some(hash));
            chunks.push(chunk?.ok_or_else(|| ManifestError::Chunks {
                path: file.path.into(),
            })?);
        }
        let content = Content::File(FileContent {
            executable,
            size: file.size,
            hash,
            chunks,
        });
        Ok(Entry {
            path: file.path.to_owned(),
            content,
        })
    }

    /// A chunk; `whole` is the file's hash where the file is one chunk. None: not a valid one.
    fn chunk(
        &mut self,
        packs: &[PackId],
        whole: Option<ContentHash>,
    ) -> Result<Option<Chunk>, ManifestError> {
        let stored: StoredChunk = self.take()?;
        let hash = match (whole, stored.hash) {
            (Some(hash), None) => Some(hash),
            (None, Some(digest)) => Some(ContentHash::from_digest(digest)),
            (Some(_), Some(_)) | (None, None) => None,
        };
        let pack = packs.get(stored.pack as usize);
        Ok(pack.zip(hash).map(|(&pack, hash)| Chunk {
            pack,
            offset: stored.offset,
            stored_len: stored.stored_len,
            len: stored.len,
            hash,
        }))
    }
}
