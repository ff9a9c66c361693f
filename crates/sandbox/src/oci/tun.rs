//! The device with which the guest agent of a `runc` sandbox makes its interface.
//!
//! The host's own file of the device may belong to the host's root alone, or everyone may open it.
//! Each sandbox has one that only the root inside may open, on a file system of its own, because
//! others may be mounted without devices. gVisor brings its own.

use std::fs;
use std::io;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rustix::mount::{MountFlags, mount};

use super::layout::Layout;

/// Where it appears inside.
pub(crate) const PATH: &str = "/dev/net/tun";
/// Its numbers, in the kernel's list of devices.
pub(crate) const NUMBERS: (u64, u64) = (10, 200);

/// Makes the device's file; `first_id` is the host's id of uid 0 inside.
pub(crate) fn make(layout: &Layout, first_id: u32) -> io::Result<()> {
    let directory = layout.devices();
    fs::create_dir(&directory)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", &directory, "tmpfs", flags, c"size=4096,mode=711")?;
    let file = layout.tun();
    let (major, minor) = NUMBERS;
    let owner_only = Mode::S_IRUSR | Mode::S_IWUSR;
    mknod(&file, SFlag::S_IFCHR, owner_only, makedev(major, minor))?;
    std::os::unix::fs::chown(&file, Some(first_id), Some(first_id))
}
