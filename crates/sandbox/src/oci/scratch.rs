//! The scratch disk: one ext4 image that holds everything a sandbox writes and bounds it.
//!
//! Formatted once for each size and then copied, a few hundred kilobytes however large it is.
//! Without a journal: nothing on it survives a crash of the host's kernel in a known state anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::loop_device::LoopDevice;
use crate::error::SandboxError;

const BYTES_PER_INODE: u64 = 16 * 1024;
const INODE_BYTES: u64 = 256;
const MIN_INODES: u64 = 4096;
const MAX_INODES: u64 = 4_000_000;
const ROUNDING: u64 = 1 << 20;

/// Makes scratch disks from templates kept in a directory.
#[derive(Debug)]
pub(crate) struct ScratchDisks {
    templates: PathBuf,
    formatting: Mutex<()>,
}

/// A scratch disk that is mounted nowhere yet.
pub(crate) struct ScratchDisk {
    mount: OwnedFd,
}

impl ScratchDisks {
    pub(crate) fn new(templates: PathBuf) -> Self {
        Self {
            templates,
            formatting: Mutex::new(()),
        }
    }

    /// Makes a disk that takes `bytes` in the file `image`.
    pub(crate) fn create(&self, image: &Path, bytes: u64) -> Result<ScratchDisk, SandboxError> {
        let template = self.template(bytes)?;
        let file = copy_sparse(&template, image).map_err(SandboxError::io("write", image))?;
        ScratchDisk::open(image, &file)
    }

    fn template(&self, bytes: u64) -> Result<PathBuf, SandboxError> {
        let bytes = bytes.div_ceil(ROUNDING) * ROUNDING;
        let path = self.templates.join(format!("scratch-{bytes}.ext4"));
        if path.exists() {
            return Ok(path);
        }
        let _only_one = self
            .formatting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
