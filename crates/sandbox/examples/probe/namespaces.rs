//! Namespaces: new ones, in which one is root, and those of others.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::outcome::Attempt;
use crate::registry::Probe;
use crate::sys::{call, child, descriptor};

const CLONE_NEWTIME: i32 = 0x80;

pub(crate) const PROBES: &[Probe] = &[
    Probe::private("unshare-user", || unshare(libc::CLONE_NEWUSER)),
    Probe::private("unshare-mount", || unshare(libc::CLONE_NEWNS)),
    Probe::private("unshare-net", || unshare(libc::CLONE_NEWNET)),
    Probe::private("unshare-pid", || unshare(libc::CLONE_NEWPID)),
    Probe::private("unshare-ipc", || unshare(libc::CLONE_NEWIPC)),
    Probe::private("unshare-uts", || unshare(libc::CLONE_NEWUTS)),
    Probe::private("unshare-cgroup", || unshare(libc::CLONE_NEWCGROUP)),
    Probe::private("unshare-time", || unshare(CLONE_NEWTIME)),
    Probe::private("clone-user", clone_user),
    Probe::private("clone3-user", clone3_user),
    Probe::private("setns-mount-of-init", setns_mount),
    Probe::private("setns-by-pidfd", setns_pidfd),
];

fn unshare(flag: i32) -> Attempt {
    call!(libc::SYS_unshare, flag)?;
    Ok("a namespace".to_owned())
}

fn clone_user() -> Attempt {
    child(call!(
        libc::SYS_clone,
        libc::CLONE_NEWUSER | libc::SIGCHLD,
        0,
        0,
        0,
        0
    ))
}

fn clone3_user() -> Attempt {
    let mut arguments = [0_u64; 8];
    arguments[0] = u64::try_from(libc::CLONE_NEWUSER).map_err(io::Error::other)?;
    arguments[4] = u64::try_from(libc::SIGCHLD).map_err(io::Error::other)?;
    let size = size_of_val(&arguments);
    child(call!(libc::SYS_clone3, &arguments[..], size))
}

fn setns_mount() -> Attempt {
    let file = File::open("/proc/1/ns/mnt")?;
    call!(libc::SYS_setns, file.as_raw_fd(), libc::CLONE_NEWNS)?;
    Ok("in the mount namespace of PID 1".to_owned())
}

fn setns_pidfd() -> Attempt {
    let init = descriptor(call!(libc::SYS_pidfd_open, 1, 0)?);
    call!(libc::SYS_setns, init.as_raw_fd(), libc::CLONE_NEWNET)?;
    Ok("in the network namespace of PID 1".to_owned())
}
