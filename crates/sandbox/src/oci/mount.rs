//! Mounts by system call, and what is mounted.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::error::SandboxError;

/// Mounts an overlay; layers are given lowest first.
pub(crate) fn overlay(
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), SandboxError> {
    let mut options = b"lowerdir=".to_vec();
    for (index, lower) in lowers.iter().rev().enumerate() {
        if index > 0 {
            options.push(b':');
        }
        options.extend(escaped(lower));
    }
    options.extend_from_slice(b",upperdir=");
    options.extend(escaped(upper));
    options.extend_from_slice(b",workdir=");
    options.extend(escaped(work));
    options.extend_from_slice(b",redirect_dir=off,metacopy=off,index=off,xino=off");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    let options = CString::new(options)
        .map_err(|error| SandboxError::io("mount an overlay on", target)(error.into()))?;
    mount("overlay", target, "overlay", flags, options.as_c_str())
        .map_err(|error| SandboxError::io("mount an overlay on", target)(error.into()))
}

/// Overlay options give a meaning to these characters.
fn escaped(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(*byte);
    }
    bytes
}

/// Binds one path to another.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), SandboxError> {
    mount_bind(source, target).map_err(|error| SandboxError::io("bind", source)(error.into()))
}

/// Unmounts everything at or below a path, the last first.
pub(crate) fn unmount_below(path: &Path) -> Result<(), SandboxError> {
    for target in mounted_below(path)?.iter().rev() {
        match unmount(target, UnmountFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(_) => unmount(target, UnmountFlags::DETACH)
                .map_err(|error| SandboxError::io("unmount", target)(error.into()))?,
        }
    }
    Ok(())
}

/// Mount points at or below a path, in the order of mounting.
pub(crate) fn mounted_below(path: &Path) -> Result<Vec<PathBuf>, SandboxError> {
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read(table).map_err(SandboxError::io("read", table))?;
    Ok(mount_points(&text)
        .filter(|point| point.starts_with(path))
        .collect())
}

fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(std::ffi::OsString::from_vec(unescaped(field))))
}

/// The kernel writes white space and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| std::str::from_utf8(after.get(..3)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Removes a directory tree that nothing is mounted in; absent is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<(), SandboxError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SandboxError::io("remove", path)(error)),
    }
}

/// Whether a path is a mount point.
pub(crate) fn is_mounted(path: &Path) -> Result<bool, SandboxError> {
    Ok(mounted_below(path)?
        .iter()
        .any(|point| point.as_os_str() == OsStr::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_white_space_are_read_as_they_are() {
        let table = b"36 35 98:0 / /mnt/a\\040b rw - ext4 /dev/x rw\n37 35 0:1 / /x\\134y rw - tmpfs t rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [PathBuf::from("/mnt/a b"), PathBuf::from("/x\\y")]);
    }

    #[test]
    fn characters_of_overlay_options_are_escaped() {
        assert_eq!(escaped(Path::new("/a:b,c")), b"/a\\:b\\,c");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_tables_never_panic(table in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = mount_points(&table).count();
        }

        #[test]
        fn escapes_at_any_place_never_panic(field in r"[\\0-9a ]{0,12}") {
            let _ = unescaped(field.as_bytes());
        }
    }
}
