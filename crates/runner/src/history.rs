//! The stored form of a conversation's history: the files that a framework needs to go on.
//!
//! ```text
//! magic      8 bytes   "vm0hist\0"
//! version    u32 LE    1
//! count      u32 LE    number of files
//! plain_len  u64 LE    length of the body before compression
//! checksum   32 bytes  SHA-256 of the body before compression
//! body       zstd frame of: for each file, path length (u32 LE), path, size (u64 LE), bytes
//! ```

use std::io::Read;

use sha2::{Digest, Sha256};
use vm0_model::{HistoryId, limits};
use vm0_sandbox::GuestFile;

const MAGIC: [u8; 8] = *b"vm0hist\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 56;
const COMPRESSION_LEVEL: i32 = 3;

/// The bytes are not a history.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    /// They begin differently.
    #[error("recognise a history")]
    Magic,
    /// They were written by a newer program.
    #[error("read a history of version {version}")]
    Version {
        /// Its version.
        version: u32,
    },
    /// There is more than the limits allow.
    #[error(
        "accept a history of more than {} files or {} bytes",
        limits::HISTORY_MAX_FILES,
        limits::HISTORY_MAX_BYTES
    )]
    TooLarge,
    /// They were damaged.
    #[error("verify a history")]
    Damaged,
    /// They cannot be compressed or decompressed.
    #[error("compress or decompress a history")]
    Compression(#[from] std::io::Error),
}

/// The stored form of `files`, and its id.
pub(crate) fn encode(files: &[GuestFile]) -> Result<(HistoryId, Vec<u8>), HistoryError> {
    let size: usize = files
        .iter()
        .map(|file| file.path.len() + file.bytes.len() + 12)
        .sum();
    if files.len() > limits::HISTORY_MAX_FILES || size as u64 > limits::HISTORY_MAX_BYTES {
        return Err(HistoryError::TooLarge);
    }
    let mut body = Vec::with_capacity(size);
    for file in files {
        let path_len = u32::try_from(file.path.len()).map_err(|_| HistoryError::TooLarge)?;
        body.extend_from_slice(&path_len.to_le_bytes());
        body.extend_from_slice(file.path.as_bytes());
        body.extend_from_slice(&(file.bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(&file.bytes);
    }
    let count = u32::try_from(files.len()).map_err(|_| HistoryError::TooLarge)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() / 4);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(&body));
    bytes.extend_from_slice(&zstd::bulk::compress(&body, COMPRESSION_LEVEL)?);
    Ok((HistoryId::from_digest(Sha256::digest(&bytes).into()), bytes))
}

/// The files of a stored history. Any bytes are safe to pass.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<GuestFile>, HistoryError> {
    let (header, packed) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or(HistoryError::Magic)?;
    if header[..8] != MAGIC {
        return Err(HistoryError::Magic);
    }
    let version = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(HistoryError::Version { version });
    }
    let count = u32::from_le_bytes(header[12..16].try_into().expect("four bytes"));
    let plain_len = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
    if count as usize > limits::HISTORY_MAX_FILES || plain_len > limits::HISTORY_MAX_BYTES {
        return Err(HistoryError::TooLarge);
    }
    let mut body = Vec::new();
    zstd::stream::read::Decoder::new(packed)?
        .take(plain_len + 1)
        .read_to_end(&mut body)?;
    let intact = body.len() as u64 == plain_len && Sha256::digest(&body)[..] == header[24..];
    if !intact {
        return Err(HistoryError::Damaged);
    }
    let mut rest = body.as_slice();
    let files: Option<Vec<GuestFile>> = (0..count).map(|_| take_file(&mut rest)).collect();
    files
        .filter(|_| rest.is_empty())
        .ok_or(HistoryError::Damaged)
}

fn take_file(rest: &mut &[u8]) -> Option<GuestFile> {
    let path_len = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
    let path = std::str::from_utf8(rest.split_off(..path_len as usize)?).ok()?;
    let size = u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
    let bytes = rest.split_off(..usize::try_from(size).ok()?)?;
    let normal = path.len() <= limits::PATH_MAX_BYTES
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    normal.then(|| GuestFile {
        path: path.to_owned(),
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../tests/golden/history-v1.bin");

    fn file(path: &str, text: &str) -> GuestFile {
        GuestFile {
            path: path.to_owned(),
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_history_of_version_1_is_read() {
        let files = [
            file(".claude/projects/-w/id.jsonl", "{\"a\":1}\n{\"b\":2}\n"),
            file("x", ""),
        ];
        assert_eq!(decode(GOLDEN).unwrap(), files);
        let (id, bytes) = encode(&files).unwrap();
        assert_eq!(bytes, GOLDEN, "the format changed; give it a new version");
        assert_eq!(*id.digest(), <[u8; 32]>::from(Sha256::digest(GOLDEN)));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\0"] {
            let (_, bytes) = encode(&[file(path, "x")]).unwrap();
            assert!(
                matches!(decode(&bytes), Err(HistoryError::Damaged)),
                "{path:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            files in prop::collection::vec(("[a-z]{1,5}(/[a-z]{1,5}){0,2}", prop::collection::vec(any::<u8>(), 0..50)), 0..5)
        ) {
            let files: Vec<GuestFile> =
                files.into_iter().map(|(path, bytes)| GuestFile { path, bytes }).collect();
            let (_, bytes) = encode(&files).unwrap();
            prop_assert_eq!(decode(&bytes).unwrap(), files);
        }

        #[test]
        fn damage_is_found(at in 0usize..GOLDEN.len(), bit in 0u8..8) {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(files) = decode(&bytes) {
                // A change that decompresses to the same bytes does no harm.
                prop_assert_eq!(files, decode(GOLDEN).unwrap());
            }
        }
    }
}
