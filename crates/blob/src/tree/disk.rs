//! The directory of the cache: its layout, its lock, and when it must be dropped.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vm0_model::VersionId;

use super::error::TreeError;

const FORMAT: u32 = 1;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The directory of a cache that this process uses.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Host uid and gid of the files.
    pub(super) owner: Option<(u32, u32)>,
    _lock: File,
}

impl Disk {
    /// Locks the directory, drops what is not valid any more and what was left half built.
    pub(super) fn open(root: &Path, owner: Option<(u32, u32)>) -> Result<Self, TreeError> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => TreeError::Busy,
            TryLockError::Error(error) => TreeError::Io(error),
        })?;
        let disk = Self {
            root,
            owner,
            _lock: lock,
        };
        let boot_id = fs::read_to_string(BOOT_ID)?;
        let stamp = format!("vm0 tree cache {FORMAT}\n{owner:?}\n{boot_id}");
        let stamp_path = disk.root.join("stamp");
        if fs::read_to_string(&stamp_path).ok().as_deref() != Some(stamp.as_str()) {
            for part in ["stamp", "contents", "trees", "sizes"] {
                remove_all(&disk.root.join(part))?;
            }
        }
        remove_all(&disk.building())?;
        for dir in [disk.contents(), disk.trees(), disk.sizes(), disk.building()] {
            fs::create_dir_all(dir)?;
        }
        fs::write(stamp_path, stamp)?;
        Ok(disk)
    }

    pub(super) fn contents(&self) -> PathBuf {
        self.root.join("contents")
    }

    pub(super) fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    pub(super) fn tree(&self, version: VersionId) -> PathBuf {
        self.trees().join(version.to_string())
    }

    fn sizes(&self) -> PathBuf {
        self.root.join("sizes")
    }

    pub(super) fn size_file(&self, version: VersionId) -> PathBuf {
        self.sizes().join(version.to_string())
    }

    fn building(&self) -> PathBuf {
        self.root.join("building")
    }

    /// A name that nothing has yet, in the directory for what is not complete.
    pub(super) fn temporary(&self) -> PathBuf {
        self.building().join(Uuid::now_v7().to_string())
    }
}

/// Removes a file or directory, if it is there.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
