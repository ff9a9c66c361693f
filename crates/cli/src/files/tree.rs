//! What is in a directory, with the hash of each file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vm0_model::id::{StorageId, VersionId};
use vm0_model::path::{FilePathError, LinkTargetError, validate_file_path, validate_link_target};
use vm0_model::storage::{EntryKind, VersionEntry, version_id};
use vm0_model::wire::storages::DeclaredFile;

use super::parallel::in_parallel;

const BUFFER_BYTES: usize = 256 << 10;

/// The files and symlinks of a directory, sorted by path; a top-level `.vm0` is left out.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The entries.
    pub(crate) files: Vec<LocalFile>,
    /// Paths that no version can hold: sockets, pipes, devices.
    pub(crate) skipped: Vec<String>,
    /// What each entry was like before it was read; none of a tree that was not read from a
    /// directory.
    marks: Vec<Mark>,
}

/// What shows that a file was written to, short of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Mark {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A file or symlink of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFile {
    /// Path below the directory, separated by `/`.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: LocalKind,
    /// Bytes; 0 for a symlink.
    pub(crate) size: u64,
    /// Lowercase hex SHA-256 of the content or of the target.
    pub(crate) hash: String,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LocalKind {
    /// A file without the owner's execute bit.
    Plain,
    /// A file with it.
    Executable,
    /// A symlink and its target.
    Symlink(String),
}

/// A directory cannot become a version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// It cannot be read.
    #[error("read {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name is not text.
    #[error("push {}: its name is not UTF-8", path.display())]
    NotText {
        /// The file or directory.
        path: PathBuf,
    },
    /// A path breaks the rules of versions.
    #[error("push '{path}': its path {source}")]
    Path {
        /// The path.
        path: String,
        /// The rule.
        source: FilePathError,
    },
    /// The target of a symlink breaks the rules of versions.
    #[error("push '{path}': its target {source}")]
    Target {
        /// The path.
        path: String,
        /// The rule.
        source: LinkTargetError,
    },
}

/// Reads and hashes everything in `root`.
pub(crate) fn scan(root: &Path) -> Result<Tree, TreeError> {
    let mut walk = Walk::default();
    walk.read_dir(root, "")?;
    walk.found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let read = in_parallel(walk.found.len(), |number| read_entry(&walk.found[number]))?;
    let (files, marks) = read.into_iter().unzip();
    Ok(Tree {
        files,
        skipped: walk.skipped,
        marks,
    })
}

/// What a walk over a directory finds before any content is read.
#[derive(Default)]
struct Walk {
    found: Vec<Found>,
    skipped: Vec<String>,
}

/// A file or symlink.
struct Found {
    full: PathBuf,
    path: String,
    symlink: bool,
}

impl Walk {
    fn read_dir(&mut self, dir: &Path, prefix: &str) -> Result<(), TreeError> {
        let error = |source| TreeError::Io {
            path: dir.to_owned(),
            source,
        };
        for entry in fs::read_dir(dir).map_err(error)? {
            let entry = entry.map_err(error)?;
            let full = entry.path();
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| TreeError::NotText { path: full.clone() })?;
            if prefix.is_empty() && name == ".vm0" {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|source| TreeError::Io {
                path: full.clone(),
                source,
            })?;
            if kind.is_dir() {
                self.read_dir(&full, &format!("{path}/"))?;
            } else if kind.is_file() || kind.is_symlink() {
                validate_file_path(&path).map_err(|source| TreeError::Path {
                    path: path.clone(),
                    source,
                })?;
                let symlink = kind.is_symlink();
                self.found.push(Found {
                    full,
                    path,
                    symlink,
                });
            } else {
                self.skipped.push(path);
            }
        }
        Ok(())
    }
}

fn read_entry(found: &Found) -> Result<(LocalFile, Mark), TreeError> {
    let (full, path) = (&found.full, found.path.clone());
    let error = |source| TreeError::Io {
        path: full.clone(),
        source,
    };
    if found.symlink {
        let mark = Mark::of(&fs::symlink_metadata(full).map_err(error)?);
        let target = fs::read_link(full).map_err(error)?;
        let target = target
            .to_str()
            .ok_or_else(|| TreeError::NotText { path: full.clone() })?;
        validate_link_target(target).map_err(|source| TreeError::Target {
            path: path.clone(),
            source,
        })?;
        let hash = hex::encode(Sha256::digest(target));
        let file = LocalFile {
            path,
            kind: LocalKind::Symlink(target.to_owned()),
            size: 0,
            hash,
        };
        return Ok((file, mark));
    }
    let file = File::open(full).map_err(error)?;
    let metadata = file.metadata().map_err(error)?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let (size, hash) = hash_of(file).map_err(error)?;
    let kind = if executable {
        LocalKind::Executable
    } else {
        LocalKind::Plain
    };
    let file = LocalFile {
        path,
        kind,
        size,
        hash,
    };
    Ok((file, Mark::of(&metadata)))
}

fn hash_of(mut file: impl Read) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, hex::encode(digest.finalize()))),
            count => {
                digest.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

impl Tree {
    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// An entry that was written to, or removed, since `root` was read.
    pub(crate) fn changed_since(&self, root: &Path) -> Option<&str> {
        let mut entries = self.files.iter().zip(&self.marks);
        let changed = entries.find(|(file, mark)| {
            let now = fs::symlink_metadata(root.join(&file.path));
            now.map(|now| Mark::of(&now)).ok() != Some(**mark)
        });
        changed.map(|(file, _)| file.path.as_str())
    }

    /// The version of `storage` that it would be.
    pub(crate) fn version(&self, storage: StorageId) -> VersionId {
        version_id(storage, self.files.iter().map(LocalFile::entry))
    }

    /// The entries as an upload declares them.
    pub(crate) fn declare(&self, with_hashes: bool) -> Vec<DeclaredFile> {
        self.files
            .iter()
            .map(|file| file.declare(with_hashes))
            .collect()
    }
}

impl LocalFile {
    fn entry(&self) -> VersionEntry<'_> {
        let kind = match self.kind {
            LocalKind::Plain => EntryKind::Plain,
            LocalKind::Executable => EntryKind::Executable,
            LocalKind::Symlink(_) => EntryKind::Symlink,
        };
        VersionEntry {
            path: &self.path,
            hash: &self.hash,
            kind,
        }
    }

    fn declare(&self, with_hash: bool) -> DeclaredFile {
        let (executable, link_target) = match &self.kind {
            LocalKind::Plain => (Some(false), None),
            LocalKind::Executable => (Some(true), None),
            LocalKind::Symlink(target) => (None, Some(target.clone())),
        };
        DeclaredFile {
            path: self.path.clone(),
            size: self.size,
            hash: with_hash.then(|| self.hash.clone()),
            executable,
            link_target,
            chunks: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_tree_holds_files_bits_and_links_but_no_marker_and_no_socket() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/empty")).unwrap();
        fs::create_dir_all(root.join(".vm0")).unwrap();
        fs::create_dir_all(root.join("b/.vm0")).unwrap();
        fs::write(root.join(".vm0/storage.yaml"), "name: x").unwrap();
        fs::write(root.join("b/.vm0/kept"), "").unwrap();
        fs::write(root.join("a.txt"), "hello\n").unwrap();
        fs::write(root.join("b/run.sh"), "#!/bin/sh\necho hi\n").unwrap();
        fs::set_permissions(root.join("b/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/nowhere", root.join("link")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let tree = scan(root).unwrap();
        let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.txt", "b/.vm0/kept", "b/run.sh", "link"]);
        assert_eq!(tree.files[0].size, 6);
        assert_eq!(
            tree.files[0].hash,
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
        );
        assert_eq!(tree.files[2].kind, LocalKind::Executable);
        assert_eq!(tree.files[3].kind, LocalKind::Symlink("/nowhere".into()));
        assert_eq!(tree.skipped, ["socket"]);
    }

    #[test]
    fn the_version_of_a_tree_is_that_of_the_specification() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "hello\n").unwrap();
        symlink("a.txt", dir.path().join("latest.txt")).unwrap();
        fs::write(dir.path().join("run.sh"), "#!/bin/sh\necho hi\n").unwrap();
        fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        let storage = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        assert_eq!(
            scan(dir.path()).unwrap().version(storage).to_string(),
            "c46431c669e130df2562fb255bc0ecf82a38e78b9183f3a9f434510ec37cd159"
        );
    }

    #[test]
    fn a_name_that_is_no_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"bad\xff");
        fs::write(dir.path().join(name), "").unwrap();
        assert!(matches!(scan(dir.path()), Err(TreeError::NotText { .. })));
    }
}
