//! The scratch disk: one ext4 image that holds everything a sandbox writes and bounds it.
//!
//! Formatted once for each size and then copied, a few hundred kilobytes however large it is.
//! Without a journal: nothing on it survives a crash of the host's kernel in a known state anyway.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::loop_device::LoopDevice;
use crate::error::SandboxError;
use crate::ids;

const BYTES_PER_INODE: u64 = 16 * 1024;
const INODE_BYTES: u64 = 256;
const MIN_INODES: u64 = 4096;
const MAX_INODES: u64 = 4_000_000;
const ROUNDING: u64 = 1 << 20;
/// Disks made ahead.
const AHEAD: usize = 4;
/// The agent of the sandbox that took one starts first.
const FILL_DELAY: Duration = Duration::from_millis(200);
/// Smaller disks are those of probes and tests.
const MIN_AHEAD: u64 = 128 << 20;

/// Makes scratch disks from templates kept in a directory, a few of the last size ahead of time.
#[derive(Debug)]
pub(crate) struct ScratchDisks {
    templates: PathBuf,
    ready_dir: PathBuf,
    formatting: Mutex<()>,
    ready: Mutex<Ready>,
}

/// Disks that wait to be used, all of one size.
#[derive(Debug, Default)]
struct Ready {
    bytes: u64,
    made: u64,
    filling: bool,
    disks: Vec<(PathBuf, ScratchDisk)>,
}

/// A scratch disk that is mounted nowhere yet.
#[derive(Debug)]
pub(crate) struct ScratchDisk {
    mount: OwnedFd,
}

impl ScratchDisks {
    pub(crate) fn new(templates: PathBuf, ready_dir: PathBuf) -> Self {
        Self {
            templates,
            ready_dir,
            formatting: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    /// Makes a disk that takes `bytes` in the file `image`, or takes one that is ready.
    pub(crate) fn create(&self, image: &Path, bytes: u64) -> Result<ScratchDisk, SandboxError> {
        let taken = {
            let mut ready = lock(&self.ready);
            if ready.bytes == bytes {
                ready.disks.pop()
            } else {
                None
            }
        };
        if let Some((path, disk)) = taken {
            // The directory of the sandbox may be on another file system.
            if fs::rename(&path, image).is_ok() {
                return Ok(disk);
            }
            let _ = fs::remove_file(&path);
        }
        self.make(image, bytes)
    }

    /// Makes disks of this size ahead, in the background.
    pub(crate) fn fill(disks: &Arc<Self>, bytes: u64) {
        if bytes < MIN_AHEAD {
            return;
        }
        let mut ready = lock(&disks.ready);
        if ready.bytes != bytes {
            for (path, _) in ready.disks.drain(..) {
                let _ = fs::remove_file(path);
            }
            ready.bytes = bytes;
        }
        if ready.filling || ready.disks.len() >= AHEAD {
            return;
        }
        ready.filling = true;
        drop(ready);
        let disks = Arc::clone(disks);
        std::thread::spawn(move || {
            super::stopped::give_way();
            std::thread::sleep(FILL_DELAY);
            disks.fill_now(bytes);
        });
    }

    fn fill_now(&self, bytes: u64) {
        loop {
            let path = {
                let mut ready = lock(&self.ready);
                if ready.bytes != bytes || ready.disks.len() >= AHEAD {
                    ready.filling = false;
                    return;
                }
                ready.made += 1;
                self.ready_dir.join(format!("ready-{}.img", ready.made))
            };
            match self.make(&path, bytes) {
                Ok(disk) => lock(&self.ready).disks.push((path, disk)),
                Err(error) => {
                    tracing::debug!(%error, "no scratch disk is made ahead");
                    let _ = fs::remove_file(&path);
                    lock(&self.ready).filling = false;
                    return;
                }
            }
        }
    }

    fn make(&self, image: &Path, bytes: u64) -> Result<ScratchDisk, SandboxError> {
        let template = self.template(bytes)?;
        let file = copy_sparse(&template, image).map_err(SandboxError::io("write", image))?;
        let disk = ScratchDisk::open(image, &file)?;
        disk.furnish().map_err(SandboxError::io("write", image))?;
        Ok(disk)
    }

    fn template(&self, bytes: u64) -> Result<PathBuf, SandboxError> {
        let bytes = bytes.div_ceil(ROUNDING) * ROUNDING;
        let path = self.templates.join(format!("scratch-{bytes}.ext4"));
        if path.exists() {
            return Ok(path);
        }
        let _only_one = lock(&self.formatting);
        if !path.exists() {
            let partial = self
                .templates
                .join(format!(".scratch-{bytes}-{}", std::process::id()));
            format(&partial, bytes).map_err(SandboxError::io("format", &partial))?;
            fs::rename(&partial, &path).map_err(SandboxError::io("rename", &partial))?;
        }
        Ok(path)
    }
}

impl ScratchDisk {
    /// Opens the disk in an image, which may be one that an earlier process has left.
    pub(crate) fn open(image: &Path, file: &File) -> Result<Self, SandboxError> {
        let device = LoopDevice::attach(file).map_err(SandboxError::io("attach", image))?;
        let mount = || -> rustix::io::Result<OwnedFd> {
            let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&context, "source", device.path.as_path())?;
            fsconfig_set_flag(&context, "noinit_itable")?;
            fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOATIME;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        let mount = mount().map_err(|error| SandboxError::io("mount", image)(error.into()))?;
        Ok(Self { mount })
    }

    /// Makes the directories that every sandbox has on its disk.
    fn furnish(&self) -> io::Result<()> {
        let top = PathBuf::from(format!("/proc/self/fd/{}", self.mount.as_raw_fd()));
        directory(&top.join("root/upper"), ids::BASE, 0o755)?;
        fs::create_dir(top.join("root/work"))?;
        directory(&top.join("vm0"), ids::BASE, 0o755)?;
        fs::write(top.join("vm0/agent"), "")?;
        for name in ["tmp", "var-tmp"] {
            directory(&top.join(name), ids::BASE, 0o1777)?;
        }
        Ok(())
    }

    /// Opens the disk in an image that is already there.
    pub(crate) fn reopen(image: &Path) -> Result<Self, SandboxError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(image)
            .map_err(SandboxError::io("open", image))?;
        Self::open(image, &file)
    }

    /// Mounts it.
    pub(crate) fn attach(self, target: &Path) -> Result<(), SandboxError> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&self.mount, "", rustix::fs::CWD, target, flags)
            .map_err(|error| SandboxError::io("mount on", target)(error.into()))
    }
}

/// Makes a directory of this owner and mode.
pub(crate) fn directory(path: &Path, owner: u32, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    chown(path, Some(owner), Some(owner))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Formats an image that takes `bytes` beside its own tables.
fn format(path: &Path, bytes: u64) -> io::Result<()> {
    let inodes = (bytes / BYTES_PER_INODE).clamp(MIN_INODES, MAX_INODES);
    let file = File::create(path)?;
    file.set_len(bytes + inodes * INODE_BYTES + bytes / 256 + 4 * ROUNDING)?;
    let program = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]
        .into_iter()
        .find(|program| Path::new(program).exists())
        .unwrap_or("mkfs.ext4");
    let output = Command::new(program)
        .args([
            "-q",
            "-F",
            "-b",
            "4096",
            "-m",
            "0",
            "-I",
            &INODE_BYTES.to_string(),
        ])
        .args([
            "-O",
            "^has_journal,^resize_inode,sparse_super2",
            "-N",
            &inodes.to_string(),
        ])
        .args(["-E", "lazy_itable_init=1,nodiscard,num_backup_sb=0"])
        .arg(path)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Copies the parts of a file that hold data.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<File> {
    use rustix::fs::{SeekFrom as Sparse, seek};
    let mut source = File::open(from)?;
    let target = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(to)?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut buffer = Vec::new();
    let mut at = 0;
    while let Ok(start) = seek(&source, Sparse::Data(at)) {
        let end = seek(&source, Sparse::Hole(start))?;
        source.seek(SeekFrom::Start(start))?;
        buffer.clear();
        Read::by_ref(&mut source)
            .take(end - start)
            .read_to_end(&mut buffer)?;
        target.write_all_at(&buffer, start)?;
        at = end;
    }
    (&target).flush()?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_copy_has_the_same_content_and_stays_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let source = File::create(&from).unwrap();
        source.set_len(64 << 20).unwrap();
        source.write_all_at(b"head", 0).unwrap();
        source.write_all_at(b"tail", 40 << 20).unwrap();
        let copy = copy_sparse(&from, &to).unwrap();
        let mut text = [0; 4];
        copy.read_exact_at(&mut text, 40 << 20).unwrap();
        assert_eq!(&text, b"tail");
        assert_eq!(copy.metadata().unwrap().len(), 64 << 20);
        assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20);
    }
}
