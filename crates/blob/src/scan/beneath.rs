//! Opening what lies below a directory, and nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// A directory below which a hostile process may have written.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Directory,
    File,
    Symlink,
    /// The overlay's mark for a deleted entry: a character device 0/0.
    Whiteout,
    Other,
}

impl FileKind {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Other,
        }
    }
}

impl Beneath {
    /// Opens the root, a path of ours.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open(root, flags, Mode::empty())?,
        })
    }

    /// Opens the directory at `path`; the root for an empty path.
    pub(crate) fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the regular file at `path`; an error if it is anything else by now.
    pub(crate) fn file(&self, path: &str) -> io::Result<(OwnedFd, Stat)> {
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileKind::of(&stat) != FileKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((fd, stat))
    }

    fn open_at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // A rename elsewhere made the kernel give up on the walk.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Kernels before 5.6, and seccomp filters that do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.walk_to(path, flags),
                result => return Ok(result?),
            }
        }
    }

    /// The same without `openat2`: one component after the other.
    fn walk_to(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at: Option<OwnedFd> = None;
        for component in parents.split('/').filter(|component| !component.is_empty()) {
            let dir = at.as_ref().unwrap_or(&self.root);
            at = Some(rustix::fs::openat(dir, component, step, Mode::empty())?);
        }
        let dir = at.as_ref().unwrap_or(&self.root);
        let opened = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let same_mount =
            rustix::fs::fstat(&opened)?.st_dev == rustix::fs::fstat(&self.root)?.st_dev;
        same_mount
            .then_some(opened)
            .ok_or_else(|| Errno::XDEV.into())
    }
}

/// What `name` in `dir` is, without following it.
pub(crate) fn stat_at(dir: impl AsFd, name: &std::ffi::CStr) -> io::Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn neither_way_of_opening_follows_links_or_leaves_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        fs::create_dir_all(upper.join("a/b")).unwrap();
        fs::write(upper.join("a/b/file"), "mine").unwrap();
        fs::write(dir.path().join("file"), "secret").unwrap();
        symlink(dir.path(), upper.join("up")).unwrap();
        symlink("b", upper.join("a/inner")).unwrap();
        symlink("b/file", upper.join("a/link")).unwrap();
        let beneath = Beneath::open(&upper).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for path in ["a/b/file", "a/b", "a", "."] {
            assert!(beneath.open_at(path, flags).is_ok(), "{path}");
            assert!(beneath.walk_to(path, flags).is_ok(), "{path}");
        }
        for path in ["up/file", "up", "a/inner/file", "a/inner", "a/link"] {
            assert!(beneath.open_at(path, flags).is_err(), "{path}");
            assert!(beneath.walk_to(path, flags).is_err(), "{path}");
        }
        assert!(beneath.open_at("../file", flags).is_err());
        assert!(beneath.file("a/b").is_err(), "a directory is no file");
    }
}
