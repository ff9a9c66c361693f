//! Mounts: new ones, changed ones, other roots.

use std::ffi::CStr;
use std::fs;
use std::io;

use crate::outcome::Attempt;
use crate::registry::Probe;
use crate::runs::mount as raw_mount;
use crate::sys::call;

const AT_FDCWD: i32 = libc::AT_FDCWD;
const OPEN_TREE_CLONE: u32 = 1;

pub(crate) const PROBES: &[Probe] = &[
    Probe::private("mount-tmpfs", || mounted(c"tmpfs")),
    Probe::private("mount-proc", || mounted(c"proc")),
    Probe::private("mount-sysfs", || mounted(c"sysfs")),
    Probe::private("mount-devtmpfs", || mounted(c"devtmpfs")),
    Probe::private("mount-debugfs", || mounted(c"debugfs")),
    Probe::private("mount-bpf", || mounted(c"bpf")),
    Probe::private("mount-cgroup2", || mounted(c"cgroup2")),
    Probe::private("mount-overlay", overlay),
    Probe::private("mount-bind", bind),
    Probe::prepared("mount-remount-writable", remount, read_only_usr),
    Probe::private("mount-propagation", propagation),
    Probe::private("umount", umount),
    Probe::private("move-mount", move_mount),
    Probe::private("pivot-root", pivot_root),
    Probe::private("chroot", chroot),
    Probe::private("fsopen", fsopen),
    Probe::private("fspick", fspick),
    Probe::private("open-tree-clone", open_tree),
    Probe::prepared("mount-setattr-writable", mount_setattr, read_only_usr),
];

fn place() -> io::Result<&'static CStr> {
    fs::create_dir_all("place")?;
    Ok(c"place")
}

fn mounted(kind: &CStr) -> Attempt {
    raw_mount(c"none", place()?, kind, 0)?;
    Ok(format!("mounted {}", kind.to_string_lossy()))
}

fn overlay() -> Attempt {
    for name in ["place", "upper", "work"] {
        fs::create_dir_all(name)?;
    }
    let options = c"lowerdir=/usr,upperdir=upper,workdir=work";
    call!(libc::SYS_mount, c"none", c"place", c"overlay", 0, options)?;
    Ok("mounted an overlay of /usr".to_owned())
}

fn bind() -> Attempt {
    raw_mount(c"/etc", place()?, c"", libc::MS_BIND)?;
    Ok("bound /etc".to_owned())
}

/// As a sandbox has it.
fn read_only_usr() -> io::Result<()> {
    raw_mount(c"/usr", c"/usr", c"", libc::MS_BIND)?;
    let flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
    raw_mount(c"none", c"/usr", c"", flags)
}

fn remount() -> Attempt {
    raw_mount(c"none", c"/usr", c"", libc::MS_BIND | libc::MS_REMOUNT)?;
    Ok("/usr is writable".to_owned())
}

fn mount_setattr() -> Attempt {
    const SYS_MOUNT_SETATTR: libc::c_long = libc::SYS_mount_setattr;
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let attributes = [0_u64, MOUNT_ATTR_RDONLY, 0, 0];
    call!(SYS_MOUNT_SETATTR, AT_FDCWD, c"/usr", 0, &attributes[..], 32)?;
    Ok("/usr is writable".to_owned())
}

fn propagation() -> Attempt {
    raw_mount(c"none", c"/", c"", libc::MS_REC | libc::MS_SHARED)?;
    Ok("the root is shared".to_owned())
}

fn umount() -> Attempt {
    call!(libc::SYS_umount2, c"/proc", libc::MNT_DETACH)?;
    Ok("/proc is gone".to_owned())
}

fn move_mount() -> Attempt {
    call!(
        libc::SYS_move_mount,
        AT_FDCWD,
        c"/proc",
        AT_FDCWD,
        place()?,
        0
    )?;
    Ok("moved /proc".to_owned())
}

fn pivot_root() -> Attempt {
    call!(libc::SYS_pivot_root, c".", c".")?;
    Ok("another root".to_owned())
}

fn chroot() -> Attempt {
    call!(libc::SYS_chroot, c".")?;
    Ok("another root".to_owned())
}

fn fsopen() -> Attempt {
    call!(libc::SYS_fsopen, c"tmpfs", 0)?;
    Ok("a file system context".to_owned())
}

fn fspick() -> Attempt {
    call!(libc::SYS_fspick, AT_FDCWD, c"/proc", 0)?;
    Ok("a context of /proc".to_owned())
}

fn open_tree() -> Attempt {
    call!(libc::SYS_open_tree, AT_FDCWD, c"/etc", OPEN_TREE_CLONE)?;
    Ok("a mount of /etc".to_owned())
}
