//! The user ids of one sandbox on the host: its own range, and mounts through which files that are
//! stored with the common ids of [`crate::ids`] belong to that range.
//!
//! On the disk nothing is changed: version trees and images are shared by all sandboxes, and what
//! a sandbox has written is read with the common ids again.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use rustix::fs::CWD;
use rustix::mount::{
    FsOpenFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsopen,
    move_mount, open_tree,
};

use crate::ids;

const STACK_BYTES: usize = 64 * 1024;

/// A range of ids on the host, and how stored ids become those of the range.
#[derive(Debug)]
pub(crate) struct IdMap {
    first: u32,
    namespace: OwnedFd,
}

/// The maps that were made so far.
#[derive(Debug, Default)]
pub(crate) struct IdMaps {
    made: Mutex<HashMap<u32, Arc<IdMap>>>,
}

impl IdMaps {
    /// The map of the range of this number; made once.
    pub(crate) fn get(&self, range: u32) -> io::Result<Arc<IdMap>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = made.get(&range) {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(IdMap::new(ids::first(range))?);
        made.insert(range, Arc::clone(&map));
        Ok(map)
    }
}

impl IdMap {
    fn new(first: u32) -> io::Result<Self> {
        // Root's own files stay root's, which is nobody inside.
        let table = format!("0 0 1\n{} {first} {}\n", ids::BASE, ids::COUNT);
        Ok(Self {
            first,
            namespace: user_namespace(&table)?,
        })
    }

    /// The host id of uid and gid 0 inside.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// Mounts a tree on a directory, with the ids of the range.
    pub(crate) fn bind(&self, source: &Path, target: &Path) -> io::Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, source, flags)?;
        map_ids(&tree, &self.namespace)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(&tree, "", CWD, target, flags)?)
    }

    /// Whether this kernel maps ids on the file system of `tree`, also below an overlay; `other` is
    /// any other tree.
    pub(crate) fn check(&self, tree: &Path, other: &Path, place: &Path) -> io::Result<()> {
        fs::create_dir_all(place)?;
        self.bind(tree, place)?;
        let overlay = || -> io::Result<()> {
            let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            let lowers = [place.as_os_str(), other.as_os_str()].join(std::ffi::OsStr::new(":"));
            fsconfig_set_string(&context, "lowerdir", lowers.as_os_str())?;
            Ok(fsconfig_create(&context)?)
        };
        let made = overlay();
        rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH)?;
        made
    }
}

/// A user namespace with this table for users and groups, in which nothing runs.
#[expect(
    unsafe_code,
    reason = "a namespace is made by a child that shares nothing"
)]
fn user_namespace(table: &str) -> io::Result<OwnedFd> {
    let mut stack = vec![0_u8; STACK_BYTES];
    let wait = Box::new(|| -> isize {
        nix::unistd::pause();
        0
    });
    // SAFETY: the child has a copy of all memory, its own stack, and does nothing but wait for the
    // signal that ends it.
    let child = unsafe {
        nix::sched::clone(
            wait,
            &mut stack,
            CloneFlags::CLONE_NEWUSER,
            Some(Signal::SIGCHLD as i32),
        )
    }?;
    let open = || -> io::Result<OwnedFd> {
        let of_child = Path::new("/proc").join(child.to_string());
        fs::write(of_child.join("uid_map"), table)?;
        fs::write(of_child.join("gid_map"), table)?;
        Ok(fs::File::open(of_child.join("ns/user"))?.into())
    };
    let namespace = open();
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, None);
    namespace
}

/// Gives a mount that is attached nowhere the map of a user namespace.
#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]
fn map_ids(tree: &OwnedFd, namespace: &OwnedFd) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(namespace.as_raw_fd()).map_err(io::Error::other)?,
    };
    // SAFETY: an empty literal string, and a live struct with its size; both descriptors are open.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
