//! A directory as `archive.tar.gz`, checked against what was declared while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::packer::Packer;
use super::tree::{LocalFile, LocalKind, Tree};

/// A symlink target up to this long fits into a member's header.
const HEADER_TARGET_BYTES: usize = 100;

/// An archive cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A file is not what it was when it was declared.
    #[error("{0} changed during the push")]
    Changed(String),
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("write the archive")]
    Write {
        /// Why.
        source: io::Error,
    },
}

/// Writes the files of `tree`, which were found in `root`, and calls `progress` with the bytes
/// of each file. Gives the length of the archive.
pub(crate) fn write_archive(
    root: &Path,
    tree: &Tree,
    out: File,
    mut progress: impl FnMut(u64),
) -> Result<u64, ArchiveError> {
    let write = |source| ArchiveError::Write { source };
    let packer = Packer::new(BufWriter::with_capacity(256 << 10, out));
    let mut builder = Builder::new(packer);
    for file in &tree.files {
        match &file.kind {
            LocalKind::Symlink(target) => append_symlink(&mut builder, file, target)?,
            LocalKind::Plain => append_file(&mut builder, root, file, 0o644)?,
            LocalKind::Executable => append_file(&mut builder, root, file, 0o755)?,
        }
        progress(file.size);
    }
    let packer = builder.into_inner().map_err(write)?;
    let buffer = packer.finish().map_err(write)?;
    let file = buffer
        .into_inner()
        .map_err(|error| write(error.into_error()))?;
    Ok(file.metadata().map_err(write)?.len())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

fn append_symlink(
    builder: &mut Builder<impl Write>,
    file: &LocalFile,
    target: &str,
) -> Result<(), ArchiveError> {
    let write = |source| ArchiveError::Write { source };
    let mut header = header(EntryType::Symlink, 0o777, 0);
    if target.len() > HEADER_TARGET_BYTES {
        return builder
            .append_link(&mut header, &file.path, target)
            .map_err(write);
    }
    header.set_link_name_literal(target).map_err(write)?;
    builder
        .append_data(&mut header, &file.path, io::empty())
        .map_err(write)
}

fn append_file(
    builder: &mut Builder<impl Write>,
    root: &Path,
    file: &LocalFile,
    mode: u32,
) -> Result<(), ArchiveError> {
    let path = root.join(&file.path);
    let opened = File::open(&path).map_err(|source| ArchiveError::Read {
        path: path.clone(),
        source,
    })?;
    let mut reader = HashingReader {
        inner: opened,
        digest: Sha256::new(),
        left: file.size,
    };
    let appended = builder.append_data(
        &mut header(EntryType::Regular, mode, file.size),
        &file.path,
        &mut reader,
    );
    if reader.left > 0 {
        return Err(ArchiveError::Changed(file.path.clone()));
    }
    appended.map_err(|source| ArchiveError::Write { source })?;
    let grown = reader
        .inner
        .read(&mut [0])
        .map_err(|source| ArchiveError::Read { path, source })?;
    if grown > 0 || hex::encode(reader.digest.finalize()) != file.hash {
        return Err(ArchiveError::Changed(file.path.clone()));
    }
    Ok(())
}

/// Reads exactly the declared length and hashes it.
struct HashingReader {
    inner: File,
    digest: Sha256,
    left: u64,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.digest.update(&buffer[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}
