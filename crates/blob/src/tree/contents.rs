//! The content cache: one file for each content and execute bit, shared by all trees that have it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::disk::{Disk, remove_all};
use super::error::TreeError;
use crate::fetch::{Fetched, PackSourceError};
use crate::manifest::FileContent;
use crate::pack::chunk_read;

/// The content cache of a disk.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    disk: &'a Disk,
    root: PathBuf,
    dir: OwnedFd,
}

impl<'a> Contents<'a> {
    pub(super) fn open(disk: &'a Disk) -> io::Result<Self> {
        let root = disk.contents();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&root, flags, Mode::empty())?;
        Ok(Self { disk, root, dir })
    }

    pub(super) fn has(&self, file: &FileContent) -> io::Result<bool> {
        match rustix::fs::accessat(
            &self.dir,
            name(file).as_str(),
            rustix::fs::Access::EXISTS,
            AtFlags::empty(),
        ) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the content of `file`, whose chunks come next from `chunks`.
    pub(super) fn write(
        &self,
        path: &str,
        file: &FileContent,
        chunks: &mut Chunks,
    ) -> Result<(), TreeError> {
        let temporary = Temporary::new(self.disk);
        let mut out = File::create_new(temporary.path())?;
        let mut digest = Sha256::new();
        for _ in &file.chunks {
            let bytes = chunks.next()?;
            if file.chunks.len() > 1 {
                digest.update(&bytes);
            }
            out.write_all(&bytes)?;
        }
        // The one chunk of a small file has been verified against the same hash.
        if file.chunks.len() > 1 && digest.finalize()[..] != file.hash.digest()[..] {
            return Err(TreeError::Hash {
                path: path.to_owned(),
            });
        }
        self.set_attributes(&out, file.executable)?;
        let name = name(file);
        match fs::create_dir(self.root.join(&name[..2])) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        fs::rename(temporary.path(), self.root.join(name))?;
        Ok(())
    }

    fn set_attributes(&self, file: &File, executable: bool) -> io::Result<()> {
        if let Some((uid, gid)) = self.disk.owner {
            fchown(file, Some(uid), Some(gid))?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    /// Makes `path` in `tree` a hard link to the content.
    pub(super) fn link(&self, file: &FileContent, tree: &OwnedFd, path: &str) -> io::Result<()> {
        let name = name(file);
        let link = || rustix::fs::linkat(&self.dir, name.as_str(), tree, path, AtFlags::empty());
        match link() {
            // So many trees have the content that its file can take no more links.
            Err(Errno::MLINK) => {
                self.renew(&name, file.executable)?;
                Ok(link()?)
            }
            result => Ok(result?),
        }
    }

    /// Replaces the file of a content by a copy without links.
    fn renew(&self, name: &str, executable: bool) -> io::Result<()> {
        let temporary = Temporary::new(self.disk);
        let mut copy = File::create_new(temporary.path())?;
        io::copy(&mut File::open(self.root.join(name))?, &mut copy)?;
        self.set_attributes(&copy, executable)?;
        fs::rename(temporary.path(), self.root.join(name))
    }
}

fn name(file: &FileContent) -> String {
    let hash = file.hash.to_string();
    let suffix = if file.executable { ".x" } else { "" };
    format!("{}/{hash}{suffix}", &hash[..2])
}

/// Chunks as they arrive, in the order in which they were asked for.
pub(super) struct Chunks {
    arriving: mpsc::Receiver<Result<Fetched, PackSourceError>>,
    current: Option<Fetched>,
}

impl Chunks {
    pub(super) fn new(arriving: mpsc::Receiver<Result<Fetched, PackSourceError>>) -> Self {
        Self {
            arriving,
            current: None,
        }
    }

    fn next(&mut self) -> Result<Vec<u8>, TreeError> {
        loop {
            if let Some((chunk, frame)) = self.current.as_mut().and_then(Fetched::next) {
                return Ok(chunk_read(&chunk, &frame)?);
            }
            // The sender goes away early only when nobody waits for the tree any more.
            let abandoned = || io::Error::from(io::ErrorKind::Interrupted);
            self.current = Some(self.arriving.blocking_recv().ok_or_else(abandoned)??);
        }
    }
}

/// A path in the directory for what is not complete; what is there when it is dropped is removed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    pub(super) fn new(disk: &Disk) -> Self {
        Self {
            path: disk.temporary(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an incomplete tree stays behind");
        }
    }
}
