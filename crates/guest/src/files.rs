//! Small files as a byte stream: `agent put` reads one, `agent get` writes one.
//!
//! ```text
//!   record  = path length (u32, > 0) path (UTF-8) size (u64) bytes
//!   end     = path length 0
//! ```
//!
//! All numbers are big endian. A stream that stops before its end record is refused.

use std::io::{Read, Write};

use thiserror::Error;

/// The longest path of a file.
pub const MAX_PATH: usize = 4096;

/// A file on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// Relative path in normal form.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Bounds of what is read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Number of files.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Why files could not be read.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The stream ended early or failed.
    #[error("read files: {0}")]
    Io(#[from] std::io::Error),
    /// A path is empty, absolute, too long, not UTF-8 or not in normal form.
    #[error("accept a file's path")]
    Path,
    /// There is more than the limits allow.
    #[error("accept more than {files} files or {bytes} bytes")]
    TooLarge {
        /// Limit of files.
        files: usize,
        /// Limit of bytes.
        bytes: u64,
    },
}

/// Whether a path is relative, in normal form and free of NUL.
#[must_use]
pub fn is_normal_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= MAX_PATH
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Writes one record.
///
/// # Errors
/// If writing fails.
pub fn write_record(writer: &mut impl Write, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    write_record_start(writer, path, bytes.len() as u64)?;
    writer.write_all(bytes)
}

/// Writes what precedes the `size` bytes of a file.
///
/// # Errors
/// If writing fails.
pub fn write_record_start(writer: &mut impl Write, path: &str, size: u64) -> std::io::Result<()> {
    let len = u32::try_from(path.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    writer.write_all(&len.to_be_bytes())?;
    writer.write_all(path.as_bytes())?;
    writer.write_all(&size.to_be_bytes())
}

/// Writes the end of the stream.
///
/// # Errors
/// If writing fails.
pub fn write_end(writer: &mut impl Write) -> std::io::Result<()> {
    writer.write_all(&0u32.to_be_bytes())?;
    writer.flush()
}

/// Reads the next record, taking it off `left`; `None` at the end of the stream.
///
/// # Errors
/// If the stream is malformed or exceeds `left`.
pub fn read_record(
    reader: &mut impl Read,
    left: &mut Bounds,
) -> Result<Option<FileRecord>, FilesError> {
    let mut word = [0; 4];
    reader.read_exact(&mut word)?;
    let len = u32::from_be_bytes(word) as usize;
    if len == 0 {
        return Ok(None);
    }
    if len > MAX_PATH {
        return Err(FilesError::Path);
    }
    let mut path = vec![0; len];
    reader.read_exact(&mut path)?;
    let path = String::from_utf8(path).map_err(|_| FilesError::Path)?;
    if !is_normal_path(&path) {
        return Err(FilesError::Path);
    }
    let mut size = [0; 8];
    reader.read_exact(&mut size)?;
    let size = u64::from_be_bytes(size);
    if left.files == 0 || size > left.bytes {
        return Err(FilesError::TooLarge {
            files: left.files,
            bytes: left.bytes,
        });
    }
    left.files -= 1;
    left.bytes -= size;
    let mut bytes = Vec::new();
    if reader.take(size).read_to_end(&mut bytes)? as u64 != size {
        return Err(FilesError::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(FileRecord { path, bytes }))
}

/// Reads a whole stream.
///
/// # Errors
/// If the stream is malformed or exceeds `bounds`.
pub fn read_all(reader: &mut impl Read, bounds: Bounds) -> Result<Vec<FileRecord>, FilesError> {
    let mut left = bounds;
    let mut records = Vec::new();
    loop {
        match read_record(reader, &mut left) {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return Ok(records),
            Err(FilesError::TooLarge { .. }) => {
                return Err(FilesError::TooLarge {
                    files: bounds.files,
                    bytes: bounds.bytes,
                });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a relative path matches a pattern: `*` stands for anything within one component, `**`
/// as a whole component for any number of components.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    // reachable[j]: the pattern's components so far match the path's first j.
    let mut reachable = vec![false; path.len() + 1];
    reachable[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let mut seen = false;
            for (j, slot) in next.iter_mut().enumerate() {
                seen |= reachable[j];
                *slot = seen;
            }
        } else {
            for j in 0..path.len() {
                next[j + 1] = reachable[j] && matches_component(part, path[j]);
            }
        }
        reachable = next;
    }
    reachable[path.len()]
}

/// Whether something below the directory at a relative path may match a pattern.
#[must_use]
pub fn may_match_below(pattern: &str, directory: &str) -> bool {
    pattern
        .match_indices('/')
        .any(|(at, _)| matches(&pattern[..at], directory))
}

fn matches_component(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        files: 10,
        bytes: 1000,
    };

    #[test]
    fn patterns_match_within_and_across_components() {
        assert!(matches(
            ".codex/sessions/**/*ID.jsonl",
            ".codex/sessions/2026/01/02/x-ID.jsonl"
        ));
        assert!(matches(
            ".codex/sessions/**/*ID.jsonl",
            ".codex/sessions/ID.jsonl"
        ));
        assert!(matches("a/*/c*d*e", "a/b/cxdye"));
        assert!(!matches("a/*", "a/b/c"));
        assert!(!matches("a/*.md", "a/b.txt"));
        assert!(!matches("ab*ba", "aba"));
        assert!(may_match_below("a/**/c", "a/x/y") && may_match_below("a/b/c", "a/b"));
        assert!(!may_match_below("a/b/c", "a/x") && !may_match_below("a/b", "a/b"));
    }

    #[test]
    fn files_beyond_a_limit_are_refused() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, "a", &[0; 600]).unwrap();
        write_record(&mut bytes, "b", &[0; 600]).unwrap();
        write_end(&mut bytes).unwrap();
        let read = read_all(&mut bytes.as_slice(), BOUNDS);
        assert!(matches!(
            read,
            Err(FilesError::TooLarge { bytes: 1000, .. })
        ));
    }

    #[test]
    fn a_stream_without_its_end_is_refused() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, "a", b"x").unwrap();
        assert!(read_all(&mut bytes.as_slice(), BOUNDS).is_err());
    }

    #[test]
    fn a_path_that_leaves_its_base_is_refused() {
        for path in ["../x", "/x", "a//b", "a/./b", "a/..", "a\0b"] {
            let mut bytes = Vec::new();
            write_record(&mut bytes, path, b"").unwrap();
            write_end(&mut bytes).unwrap();
            assert!(matches!(
                read_all(&mut bytes.as_slice(), BOUNDS),
                Err(FilesError::Path)
            ));
        }
    }

    proptest! {
        #[test]
        fn files_are_read_back_as_written(
            files in proptest::collection::vec(("[a-z]{1,8}(/[a-z]{1,8}){0,3}", proptest::collection::vec(any::<u8>(), 0..50)), 0..8)
        ) {
            let mut bytes = Vec::new();
            for (path, content) in &files {
                write_record(&mut bytes, path, content).unwrap();
            }
            write_end(&mut bytes).unwrap();
            let read = read_all(&mut bytes.as_slice(), BOUNDS).unwrap();
            let read: Vec<_> = read.into_iter().map(|f| (f.path, f.bytes)).collect();
            prop_assert_eq!(read, files);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), zero in 0usize..4) {
            let mut bytes = bytes;
            bytes.iter_mut().take(zero).for_each(|b| *b = 0);
            let _ = read_all(&mut bytes.as_slice(), BOUNDS);
        }

        #[test]
        fn patterns_never_panic(pattern in "[a*/é]{0,12}", path in "[a/é]{0,12}") {
            let _ = matches(&pattern, &path);
        }
    }
}
