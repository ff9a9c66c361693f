//! Building a tree that is not in the cache.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use futures::StreamExt;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use tokio::sync::{OwnedRwLockReadGuard, mpsc};
use tokio::task::spawn_blocking;
use vm0_model::VersionId;

use super::cache::{Inner, write_size};
use super::contents::{Chunks, Contents, Temporary};
use super::disk::Disk;
use super::error::TreeError;
use crate::fetch::{PackSource, fetch, plan};
use crate::manifest::{Content, Entry, FileContent, Manifest};

/// Fetches the contents that are missing and makes the tree. `contents` is the right to count on
/// contents that are there, and is given back when all blocking work has ended.
pub(super) async fn build(
    inner: Arc<Inner>,
    contents: OwnedRwLockReadGuard<()>,
    version: VersionId,
    manifest: &Manifest,
    source: &dyn PackSource,
) -> Result<(), TreeError> {
    let manifest = Arc::new(manifest.clone());
    let (disk, listed) = (inner.clone(), manifest.clone());
    let missing = spawn_blocking(move || missing_files(&disk.disk, &listed)).await??;
    let chunks = missing
        .iter()
        .flat_map(|&index| match &manifest.entries()[index].content {
            Content::File(file) => file.chunks.clone(),
            Content::Symlink { .. } => Vec::new(),
        });
    let requests = plan(chunks);
    let (sender, arriving) = mpsc::channel(1);
    let worker = spawn_blocking(move || {
        let _contents = contents;
        write_contents(&inner.disk, &manifest, &missing, Chunks::new(arriving))?;
        make_tree(&inner.disk, version, &manifest)
    });
    let pump = async move {
        let mut answers = std::pin::pin!(fetch(source, requests));
        while let Some(answer) = answers.next().await {
            let last = answer.is_err();
            // The worker has failed, and says why, if nobody receives.
            if sender.send(answer).await.is_err() || last {
                break;
            }
        }
    };
    let ((), built) = tokio::join!(pump, worker);
    built?
}

fn files(manifest: &Manifest) -> impl Iterator<Item = (usize, &FileContent)> {
    manifest
        .entries()
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| match &entry.content {
            Content::File(file) => Some((index, file)),
            Content::Symlink { .. } => None,
        })
}

/// One entry for each content that is not in the cache, in the order of their places in packs.
fn missing_files(disk: &Disk, manifest: &Manifest) -> io::Result<Vec<usize>> {
    let contents = Contents::open(disk)?;
    let mut seen = HashSet::new();
    let mut missing = Vec::new();
    for (index, file) in files(manifest) {
        if seen.insert((file.hash, file.executable)) && !contents.has(file)? {
            missing.push((
                file.chunks.first().map(|chunk| (chunk.pack, chunk.offset)),
                index,
            ));
        }
    }
    missing.sort_unstable();
    Ok(missing.into_iter().map(|(_, index)| index).collect())
}

fn write_contents(
    disk: &Disk,
    manifest: &Manifest,
    missing: &[usize],
    mut chunks: Chunks,
) -> Result<(), TreeError> {
    let contents = Contents::open(disk)?;
    for &index in missing {
        let entry = &manifest.entries()[index];
        if let Content::File(file) = &entry.content {
            contents.write(&entry.path, file, &mut chunks)?;
        }
    }
    Ok(())
}

fn make_tree(disk: &Disk, version: VersionId, manifest: &Manifest) -> Result<(), TreeError> {
    let temporary = Temporary::new(disk);
    fs::create_dir(temporary.path())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(temporary.path(), flags, Mode::empty()).map_err(io::Error::from)?;
    let mut tree = Tree {
        root,
        owner: disk.owner,
        contents: Contents::open(disk)?,
        last: "",
    };
    tree.own(".")?;
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755))?;
    for entry in manifest.entries() {
        tree.entry(entry).map_err(|source| TreeError::Entry {
            path: entry.path.clone(),
            source,
        })?;
    }
    write_size(disk, version, manifest.size())?;
    match fs::rename(temporary.path(), disk.tree(version)) {
        // An abandoned build of the same version went on to its end.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => Ok(result?),
    }
}

/// A tree being made. No link is followed: no entry of a manifest lies below another.
struct Tree<'a> {
    root: OwnedFd,
    owner: Option<(u32, u32)>,
    contents: Contents<'a>,
    /// The directory of the last entry, which exists.
    last: &'a str,
}

impl<'a> Tree<'a> {
    fn entry(&mut self, entry: &'a Entry) -> io::Result<()> {
        let path = entry.path.as_str();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent != self.last {
            self.directories(parent)?;
            self.last = parent;
        }
        match &entry.content {
            Content::File(file) => self.contents.link(file, &self.root, path),
            Content::Symlink { target } => {
                rustix::fs::symlinkat(target.as_str(), &self.root, path)?;
                self.own(path)
            }
        }
    }

    /// Makes `path` and the directories above it, as far as they do not exist.
    fn directories(&self, path: &str) -> io::Result<()> {
        let ends = path
            .match_indices('/')
            .map(|(end, _)| end)
            .chain([path.len()]);
        for dir in ends.map(|end| &path[..end]).filter(|dir| !dir.is_empty()) {
            match rustix::fs::mkdirat(&self.root, dir, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let mode = Mode::from_raw_mode(0o755);
                    rustix::fs::chmodat(&self.root, dir, mode, AtFlags::empty())?;
                    self.own(dir)?;
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn own(&self, path: &str) -> io::Result<()> {
        let Some((uid, gid)) = self.owner else {
            return Ok(());
        };
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(rustix::fs::chownat(
            &self.root,
            path,
            uid,
            gid,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}
