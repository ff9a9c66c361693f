//! The extended attributes by which overlayfs marks what it writes.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// What an attribute says of a directory or file in an upper layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The directory hides everything below it in lower layers.
    pub(super) opaque: bool,
    /// The directory was renamed, or the file's data is in a lower layer. Our mounts never do that.
    pub(crate) elsewhere: bool,
}

/// Reads the marks of a directory.
pub(super) fn directory_marks(dir: impl AsFd) -> io::Result<Marks> {
    let opaque = has_value(&dir, "trusted.overlay.opaque", Some(b"y"))?
        || has_value(&dir, "user.overlay.opaque", Some(b"y"))?;
    Ok(Marks {
        opaque,
        elsewhere: has_value(&dir, "trusted.overlay.redirect", None)?,
    })
}

/// Reads the marks of a file.
pub(crate) fn file_marks(file: impl AsFd) -> io::Result<Marks> {
    Ok(Marks {
        opaque: false,
        elsewhere: has_value(file, "trusted.overlay.metacopy", None)?,
    })
}

/// Whether the attribute is there with `value`, or with any.
fn has_value(file: impl AsFd, name: &str, value: Option<&[u8]>) -> io::Result<bool> {
    let mut buffer = [0u8; 16];
    match rustix::fs::fgetxattr(file, name, &mut buffer) {
        Ok(len) => Ok(value.is_none_or(|value| buffer[..len] == *value)),
        Err(Errno::RANGE) => Ok(value.is_none()),
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
