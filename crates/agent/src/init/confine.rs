//! What PID 1 gives up, and what it takes from the programs it starts.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::{dup2_stdin, dup2_stdout};
use vm0_guest::{GID, GuestConfig, UID};

use super::filter;

/// Room in the pids controller for PID 1 itself.
const OWN_TASKS: u32 = 2;
const PIDS_GROUP: &str = "/sys/fs/cgroup/pids/user";

/// Takes the channel off standard input and output, so that nothing else can read or write it.
pub(crate) fn take_channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = io::Stdin::as_owned(&io::stdin())?;
    let output = io::Stdout::as_owned(&io::stdout())?;
    let null = nix::fcntl::open(
        "/dev/null",
        OFlag::O_RDWR | OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    Ok((input, output))
}

trait AsOwned {
    fn as_owned(&self) -> io::Result<OwnedFd>;
}

impl<T: std::os::fd::AsFd> AsOwned for T {
    fn as_owned(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

/// Makes PID 1 opaque to what it starts and limits what can be gained inside.
pub(crate) fn confine_self(config: &GuestConfig) -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::prctl::set_no_new_privs()?;
    drop_bounding_set();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if let Some(pids) = config.pids {
        fs::create_dir(PIDS_GROUP)?;
        fs::write(
            format!("{PIDS_GROUP}/pids.max"),
            (pids + OWN_TASKS).to_string(),
        )?;
        fs::write(
            format!("{PIDS_GROUP}/cgroup.procs"),
            std::process::id().to_string(),
        )?;
    }
    if config.filter {
        filter::install()?;
    }
    Ok(())
}

/// Empties the capability bounding set; PID 1 keeps what it holds, its children gain nothing.
#[expect(unsafe_code, reason = "prctl has no safe wrapper for the bounding set")]
fn drop_bounding_set() {
    for capability in 0..=63 {
        // SAFETY: PR_CAPBSET_DROP takes one integer and touches no memory; it fails with EINVAL
        // past the last capability.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
}

/// Gives up the capability to change interfaces and routes, if it is there.
#[expect(unsafe_code, reason = "capget and capset have no safe wrapper")]
pub(crate) fn drop_network_administration() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words for each set.
    const VERSION: u32 = 0x2008_0522;
    const CAP_NET_ADMIN: u32 = 12;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut sets = [Sets::default(); 2];
    // SAFETY: the structs have the layout of the kernel's, are live, and two sets are what the
    // version says.
    let rc = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    let others = !(1 << CAP_NET_ADMIN);
    sets[0].effective &= others;
    sets[0].permitted &= others;
    sets[0].inheritable &= others;
    // SAFETY: as above; the call only reads.
    let rc = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Runs between fork and exec: becomes the user, without privileges, in the working directory.
///
/// Only system calls: the process is a copy of a program that may hold locks.
#[expect(
    unsafe_code,
    reason = "the safe wrappers allocate or are not safe after fork"
)]
pub(crate) fn become_user(cwd: &std::ffi::CStr) -> io::Result<()> {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls; the pointers are to a live C string and a live struct, and the
    // group list is empty.
    unsafe {
        checked(libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core))?;
        checked(libc::setgroups(0, std::ptr::null()))?;
        checked(libc::setresgid(GID, GID, GID))?;
        checked(libc::setresuid(UID, UID, UID))?;
        checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        // The program itself may be looked at by its own user.
        checked(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        prefer_as_oom_victim();
        if libc::chdir(cwd.as_ptr()) != 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
    }
    Ok(())
}

/// Makes the kernel choose this process before PID 1 when memory runs out; at worst it does not.
#[expect(unsafe_code, reason = "runs between fork and exec")]
fn prefer_as_oom_victim() {
    let score = b"500";
    // SAFETY: a literal C string, and a buffer with its own length.
    unsafe {
        let fd = libc::open(
            c"/proc/self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        );
        if fd >= 0 {
            libc::write(fd, score.as_ptr().cast(), score.len());
            libc::close(fd);
        }
    }
}

fn checked(rc: libc::c_int) -> io::Result<()> {
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
