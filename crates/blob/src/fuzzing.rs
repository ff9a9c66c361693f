//! Ways in for the fuzz targets below `fuzz/`, built only with them.

use std::io::Cursor;

use vm0_model::wire::storages::DeclaredFile;
use vm0_model::{ContentHash, PackId};

use crate::commit::{CommitError, dry_commit};
use crate::manifest::{Chunk, Manifest};
use crate::pack::{PackError, chunk_is_plausible, chunk_read};
use crate::parts::{Place, Wanted, read_part};

/// The version that an uploaded archive is.
///
/// # Errors
///
/// When it is not what was declared.
pub fn ingest(declared: &[DeclaredFile], archive: Vec<u8>) -> Result<Manifest, CommitError> {
    dry_commit(declared, Box::new(Cursor::new(archive)))
}

/// A chunk whose stored form is `frame`, if a manifest may name one of this length and hash.
pub fn chunk(len: u32, hash: ContentHash, frame: &[u8]) -> Option<Result<Vec<u8>, PackError>> {
    let chunk = Chunk {
        pack: PackId::from_digest([0; 32]),
        offset: 16,
        stored_len: u32::try_from(frame.len()).ok()?,
        len,
        hash,
    };
    chunk_is_plausible(&chunk).then(|| chunk_read(&chunk, frame))
}

/// A chunk that a part should hold.
#[derive(Debug, Clone, Copy)]
pub struct PartChunk {
    /// Its hash.
    pub hash: ContentHash,
    /// Its bytes.
    pub len: u32,
    /// Whether its bytes are looked at later.
    pub with_file: bool,
}

/// Where each chunk of a part ends, if the part holds what it should.
pub fn part(bytes: &[u8], wanted: &[PartChunk]) -> Option<Vec<u64>> {
    let wanted = wanted.iter().map(|chunk| Wanted {
        hash: chunk.hash,
        len: chunk.len,
        with_file: chunk.with_file,
    });
    let wanted: Vec<_> = wanted.collect();
    let read = read_part(bytes, &wanted).ok()?;
    let end = |place: &Place| place.offset + u64::from(place.stored_len);
    Some(read.places.iter().map(end).collect())
}
