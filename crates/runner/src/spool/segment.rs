//! One file of a spool.
//!
//! ```text
//! magic     8 bytes  "vm0spool"
//! version   u32 LE   1
//! reserved  u32 LE   0
//! offset    u64 LE   records of the spool before this segment
//! records   each: length (u32 LE), first 4 bytes of the SHA-256 of the payload, payload
//! ```
//!
//! A process that was killed leaves at most one incomplete record, at the end.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"vm0spool";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 24;
pub(super) const RECORD_HEADER_BYTES: usize = 8;
/// An event of 1 MiB of JSON text, escaped again in its record.
const RECORD_MAX_BYTES: usize = 16 << 20;

/// A spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// The disk failed.
    #[error("use the spool")]
    Io(#[source] std::io::Error),
    /// The item has no JSON form.
    #[error("write a record as JSON")]
    Json(#[source] serde_json::Error),
    /// The file is not a segment.
    #[error("recognise {path} as part of a spool")]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// A record was damaged.
    #[error("verify a record of {path}")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A record is longer than any that is written.
    #[error("accept a record of {bytes} bytes")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.segment"))
}

/// The segments in `dir`, in no order; none if there is no such directory.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u32>, SegmentError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(SegmentError::Io)?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(SegmentError::Io)?.file_name();
        let number: Option<u32> = name
            .to_str()
            .and_then(|name| name.strip_suffix(".segment")?.parse().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

pub(super) fn header(offset: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..].copy_from_slice(&offset.to_le_bytes());
    header
}

/// The offset that a header tells.
pub(super) fn header_offset(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    let known = header[..8] == MAGIC && header[8..12] == VERSION.to_le_bytes();
    known.then(|| u64::from_le_bytes(header[16..].try_into().expect("eight bytes")))
}

pub(super) fn record(payload: &[u8]) -> Result<Vec<u8>, SegmentError> {
    let bytes = payload.len();
    if bytes > RECORD_MAX_BYTES {
        return Err(SegmentError::TooLarge { bytes });
    }
    let len = u32::try_from(bytes).map_err(|_| SegmentError::TooLarge { bytes })?;
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + bytes);
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&Sha256::digest(payload)[..4]);
    record.extend_from_slice(payload);
    Ok(record)
}

/// Length of the payload that a record header announces, and whether it can be.
pub(super) fn payload_len(header: &[u8; RECORD_HEADER_BYTES]) -> Option<usize> {
    let len = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
    (len <= RECORD_MAX_BYTES).then_some(len)
}

pub(super) fn is_intact(header: &[u8; RECORD_HEADER_BYTES], payload: &[u8]) -> bool {
    Sha256::digest(payload)[..4] == header[4..]
}
