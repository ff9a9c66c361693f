//! The archive of a version, unpacked beside the directory that it is for.
//!
//! The archive comes from the network: members that are absolute, leave the directory, pass
//! through a link, repeat a path or are neither file, symlink nor directory are refused, and so is
//! more than the version is known to hold. Symlinks are made last, so nothing is written through one.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};
use vm0_model::path::{validate_file_path, validate_link_target};

use super::tree::{LocalFile, LocalKind, Tree};
use crate::interrupt::Stop;

/// What the version is known to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnpackLimits {
    /// Files and symlinks.
    pub(crate) files: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

/// An archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// It is not a gzip'd tar, or it cannot be written to disk.
    #[error("unpack the archive")]
    Io(#[from] io::Error),
    /// A member that no version of ours has.
    #[error("unpack the archive: it holds '{path}', which {fault}")]
    Member {
        /// The member.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Somebody pressed Ctrl-C.
    #[error("unpack the archive: interrupted")]
    Stopped,
    /// More than the version holds.
    #[error("unpack the archive: it holds more than the version")]
    TooLarge,
}

/// Unpacks `archive` into the empty directory `into` and gives what it holds.
pub(crate) fn unpack(
    archive: &Path,
    into: &Path,
    limits: UnpackLimits,
    stop: &Stop,
) -> Result<Tree, UnpackError> {
    let decoder = MultiGzDecoder::new(io::BufReader::new(File::open(archive)?));
    let mut archive = Archive::new(decoder);
    let mut unpacking = Unpacking {
        into,
        limits,
        stop,
        tree: Tree::default(),
        seen: HashSet::new(),
        dirs: HashSet::new(),
    };
    for entry in archive.entries()? {
        unpacking.take(entry?)?;
    }
    for file in &unpacking.tree.files {
        if let LocalKind::Symlink(target) = &file.kind {
            symlink(target, into.join(&file.path))?;
        }
    }
    let mut tree = unpacking.tree;
    tree.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

struct Unpacking<'a> {
    into: &'a Path,
    limits: UnpackLimits,
    stop: &'a Stop,
    tree: Tree,
    seen: HashSet<String>,
    dirs: HashSet<String>,
}

impl Unpacking<'_> {
    fn take(&mut self, entry: Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            return Ok(());
        }
        let path = member_path(&entry)?;
        let refuse = |fault| {
            Err(UnpackError::Member {
                path: path.clone(),
                fault,
            })
        };
        if validate_file_path(&path).is_err() {
            return refuse("is no path of a version");
        }
        if self.dirs.contains(&path) || !self.seen.insert(path.clone()) {
            return refuse("stands there twice");
        }
        let parents: Vec<_> = path
            .match_indices('/')
            .map(|(at, _)| path[..at].to_owned())
            .collect();
        if parents.iter().any(|parent| self.seen.contains(parent)) {
            return refuse("is below a file");
        }
        self.dirs.extend(parents);
        if self.tree.files.len() as u64 >= self.limits.files {
            return Err(UnpackError::TooLarge);
        }
        let file = match kind {
            EntryType::Regular | EntryType::Continuous => self.write(entry, path)?,
            EntryType::Symlink => self.link(&entry, path)?,
            _ => return refuse("is neither a file nor a symlink"),
        };
        self.tree.files.push(file);
        Ok(())
    }

    fn write(
        &mut self,
        mut entry: Entry<'_, impl Read>,
        path: String,
    ) -> Result<LocalFile, UnpackError> {
        let size = entry.size();
        self.limits.bytes = self
            .limits
            .bytes
            .checked_sub(size)
            .ok_or(UnpackError::TooLarge)?;
        let executable = entry.header().mode()? & 0o100 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let target = self.place(&path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = entry.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            if self.stop.is_asked() {
                return Err(UnpackError::Stopped);
            }
            digest.update(&buffer[..count]);
            file.write_all(&buffer[..count])?;
        }
        let kind = if executable {
            LocalKind::Executable
        } else {
            LocalKind::Plain
        };
        Ok(LocalFile {
            path,
            kind,
            size,
            hash: hex::encode(digest.finalize()),
        })
    }

    fn link(&self, entry: &Entry<'_, impl Read>, path: String) -> Result<LocalFile, UnpackError> {
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = std::str::from_utf8(&target)
            .ok()
            .filter(|t| validate_link_target(t).is_ok());
        let Some(target) = target else {
            return Err(UnpackError::Member {
                path,
                fault: "has no usable target",
            });
        };
        self.place(&path)?;
        let hash = hex::encode(Sha256::digest(target));
        Ok(LocalFile {
            path,
            kind: LocalKind::Symlink(target.to_owned()),
            size: 0,
            hash,
        })
    }

    /// Where a member goes, with the directories above it.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let target = self.into.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(target)
    }
}

fn member_path(entry: &Entry<'_, impl Read>) -> Result<String, UnpackError> {
    let bytes = entry.path_bytes();
    let text = std::str::from_utf8(&bytes).map_err(|_| UnpackError::Member {
        path: String::from_utf8_lossy(&bytes).into_owned(),
        fault: "is not UTF-8",
    })?;
    Ok(text.strip_prefix("./").unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::super::archive::write_archive;
    use super::super::tree::scan;
    use super::*;

    const LIMITS: UnpackLimits = UnpackLimits {
        files: 10,
        bytes: 1000,
    };

    struct Member(&'static str, EntryType, &'static str);

    fn try_unpack(members: &[Member]) -> Result<Tree, UnpackError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive.tar.gz");
        let encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        let mut builder = Builder::new(encoder);
        for Member(name, kind, content) in members {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let file = *kind == EntryType::Regular;
            header.set_size(if file { content.len() as u64 } else { 0 });
            if !file {
                header.set_link_name_literal(content).unwrap();
            }
            header.set_cksum();
            let content = if file { content.as_bytes() } else { b"" };
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        let into = dir.path().join("into");
        fs::create_dir(&into).unwrap();
        unpack(&path, &into, LIMITS, &Stop::default())
    }

    #[test]
    fn a_tree_survives_archive_and_unpacking() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let deep = "d/".repeat(70);
        fs::create_dir_all(root.join(&deep)).unwrap();
        fs::write(root.join(&deep).join("file"), vec![7; 300_000]).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        for target in ["./a//b/", "../../../x", &"t".repeat(150)] {
            symlink(target, root.join(format!("link{}", target.len()))).unwrap();
        }
        let tree = scan(&root).unwrap();
        let archive = dir.path().join("archive.tar.gz");
        let mut packed = 0;
        let length = write_archive(&root, &tree, File::create(&archive).unwrap(), |n| {
            packed += n
        })
        .unwrap();
        assert_eq!(packed, 300_000);
        assert_eq!(length, fs::metadata(&archive).unwrap().len());
        let into = dir.path().join("into");
        fs::create_dir(&into).unwrap();
        let limits = UnpackLimits {
            files: 5,
            bytes: 300_000,
        };
        let unpacked = unpack(&archive, &into, limits, &Stop::default()).unwrap();
        assert_eq!(unpacked.files, tree.files);
        assert_eq!(scan(&into).unwrap().files, tree.files);
    }

    #[test]
    fn a_file_that_changes_during_the_push_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for changed in ["hello!", "jello", "hell"] {
            fs::write(dir.path().join("a"), "hello").unwrap();
            let tree = scan(dir.path()).unwrap();
            fs::write(dir.path().join("a"), changed).unwrap();
            let out = tempfile::tempfile().unwrap();
            let result = write_archive(dir.path(), &tree, out, |_| {});
            let error = result.unwrap_err().to_string();
            assert_eq!(error, "a changed during the push", "{changed}");
        }
    }

    #[test]
    fn hostile_members_are_refused() {
        use EntryType as E;
        let cases: &[&[Member]] = &[
            &[Member("../x", E::Regular, "")],
            &[Member("/x", E::Regular, "")],
            &[Member("a/../../x", E::Regular, "")],
            &[
                Member("l", E::Symlink, "/etc"),
                Member("l/x", E::Regular, ""),
            ],
            &[
                Member("a/x", E::Regular, ""),
                Member("a", E::Symlink, "/etc"),
            ],
            &[Member("a", E::Regular, ""), Member("a", E::Regular, "")],
            &[Member("a", E::Link, "/etc/passwd")],
            &[Member("a", E::Fifo, "")],
            &[Member("a", E::Block, "")],
        ];
        for members in cases {
            assert!(try_unpack(members).is_err(), "{}", members[0].0);
        }
    }

    #[test]
    fn more_than_the_version_holds_is_refused() {
        let big = Box::leak("x".repeat(1001).into_boxed_str());
        let result = try_unpack(&[Member("a", EntryType::Regular, big)]);
        assert!(matches!(result, Err(UnpackError::TooLarge)));
    }
}
