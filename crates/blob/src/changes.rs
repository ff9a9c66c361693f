//! Storing what a run changed: a pack on the runner's disk, and the manifest of the new version.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use vm0_model::PackId;

use crate::manifest::{Content, Entry, Manifest};
use crate::pack::{PackWriter, WrittenContent};
use crate::scan::{
    Beneath, Change, ChangedContent, Changes, ScanError, ScanWarning, Warnings, file_marks,
    left_out,
};

const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// The stored form of a changed workspace.
#[derive(Debug)]
pub struct Packed {
    /// The pack with the new contents; none if there are none.
    pub pack: Option<PackFile>,
    /// Every entry of the new version.
    pub manifest: Manifest,
    /// What was left out, of the scan and since.
    pub warnings: Vec<ScanWarning>,
}

/// A pack in a local file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackFile {
    /// Its id.
    pub id: PackId,
    /// Its bytes.
    pub len: u64,
}

/// Writes the contents of `changes` that `base` does not have to a pack at `out`, and makes the
/// manifest of the new version. `base` is what was passed to the scan.
///
/// Blocks. The file is read once more here, and what is read now is what the manifest says. If
/// there is nothing new to store, or on an error, there is no file at `out`.
///
/// # Errors
///
/// When a file cannot be read, the workspace has grown over its limits, or `out` cannot be written.
pub fn pack_changes(
    changes: Changes,
    base: Option<&Manifest>,
    out: &Path,
) -> Result<Packed, ScanError> {
    let file = File::create(out).map_err(ScanError::Write)?;
    let packed = write_pack(changes, base, file);
    if !matches!(&packed, Ok(Packed { pack: Some(_), .. })) {
        std::fs::remove_file(out).map_err(ScanError::Write)?;
    }
    packed
}

fn write_pack(changes: Changes, base: Option<&Manifest>, out: File) -> Result<Packed, ScanError> {
    let Changes {
        root,
        limits,
        kept,
        changed,
        warnings,
        ..
    } = changes;
    let out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, out);
    let pack = PackWriter::new(out, base).map_err(ScanError::Write)?;
    let kept_bytes = kept.iter().map(|entry| match &entry.content {
        Content::File(file) => file.size,
        Content::Symlink { .. } => 0,
    });
    let bytes_left = limits.max_bytes.saturating_sub(kept_bytes.sum());
    let mut packing = Packing {
        root,
        pack,
        bytes_left,
        limit: limits.max_bytes,
        warnings,
    };
    let mut written = Vec::new();
    for Change { path, content } in changed {
        let content = packing.store(&path, content)?;
        written.extend(content.map(|content| (path, content)));
    }
    let pack = packing.pack.finish().map_err(ScanError::Write)?;
    let id = pack.map(|(id, _)| id);
    let mut entries = kept;
    entries.extend(written.into_iter().map(|(path, content)| Entry {
        path,
        content: match content {
            Stored::Symlink { target } => Content::Symlink { target },
            Stored::File {
                executable,
                content,
            } => Content::File(content.place(id, executable)),
        },
    }));
    Ok(Packed {
        pack: pack.map(|(id, len)| PackFile { id, len }),
        manifest: Manifest::new(entries)?,
        warnings: packing.warnings.kept,
    })
}

enum Stored {
    Symlink {
        target: String,
    },
    File {
        executable: bool,
        content: WrittenContent,
    },
}

struct Packing {
    root: Beneath,
    pack: PackWriter<BufWriter<File>>,
    bytes_left: u64,
    limit: u64,
    warnings: Warnings,
}

impl Packing {
    /// Stores one entry; none if it is no longer there.
    fn store(&mut self, path: &str, content: ChangedContent) -> Result<Option<Stored>, ScanError> {
        if let ChangedContent::Symlink { target } = content {
            return Ok(Some(Stored::Symlink { target }));
        }
        let failed = |source| ScanError::Read {
            path: path.to_owned(),
            source,
        };
        let (fd, stat) = match self.root.file(path) {
            Ok(opened) => opened,
            Err(error) => match left_out(&error) {
                Some(reason) => {
                    self.warnings.push(path, reason);
                    return Ok(None);
                }
                None => return Err(failed(error)),
            },
        };
        if file_marks(&fd).map_err(failed)?.elsewhere {
            return Err(ScanError::Elsewhere {
                path: path.to_owned(),
            });
        }
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let left = self.bytes_left.checked_sub(size);
        self.bytes_left = left.ok_or(ScanError::TooLarge { limit: self.limit })?;
        let content = self
            .pack
            .write(File::from(fd), size)
            .map_err(|source: io::Error| ScanError::Read {
                path: path.to_owned(),
                source,
            })?;
        Ok(Some(Stored::File {
            executable: stat.st_mode & 0o100 != 0,
            content,
        }))
    }
}
