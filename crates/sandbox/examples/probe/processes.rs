//! Other processes: PID 1, which is the platform's, and those of the host.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::runs::any;
use crate::sys::{call, descriptor};

const PTRACE_ATTACH: i32 = 16;
const PTRACE_DETACH: i32 = 17;
const PTRACE_SEIZE: i32 = 0x4206;
const KCMP_VM: i32 = 1;

pub(crate) const PROBES: &[Probe] = &[
    Probe::private("ptrace-attach-init", || {
        call!(libc::SYS_ptrace, PTRACE_ATTACH, 1, 0, 0)?;
        // It was stopped by that.
        call!(libc::SYS_wait4, 1, 0, libc::__WALL, 0)?;
        call!(libc::SYS_ptrace, PTRACE_DETACH, 1, 0, 0)?;
        Ok("attached to PID 1".to_owned())
    }),
    Probe::private("ptrace-seize-init", || {
        call!(libc::SYS_ptrace, PTRACE_SEIZE, 1, 0, 0)?;
        Ok("attached to PID 1".to_owned())
    }),
    Probe::private("signal-init", || {
        call!(libc::SYS_kill, 1, 0)?;
        Ok("PID 1 takes signals".to_owned())
    }),
    Probe::private("memory-of-init", memory),
    Probe::private("memory-of-init-by-call", || {
        transfer(libc::SYS_process_vm_readv)
    }),
    Probe::private("write-memory-of-init", || {
        transfer(libc::SYS_process_vm_writev)
    }),
    Probe::private("maps-of-init", || read("/proc/1/maps")),
    Probe::private("environment-of-init", environment),
    Probe::private("root-of-init", || list("/proc/1/root/")),
    Probe::private("directory-of-init", || list("/proc/1/cwd/")),
    Probe::private("files-of-init", files),
    Probe::private("steal-file-of-init", steal),
    Probe::private("compare-with-init", || {
        call!(libc::SYS_kcmp, 1, std::process::id(), KCMP_VM, 0, 0)?;
        Ok("compared memory with PID 1".to_owned())
    }),
    Probe::private("limits-of-init", || {
        let mut limits = [0_u64; 2];
        call!(
            libc::SYS_prlimit64,
            1,
            libc::RLIMIT_NOFILE,
            0,
            &mut limits[..]
        )?;
        Ok("limits of PID 1".to_owned())
    }),
    Probe::private("priority-of-init", || {
        call!(libc::SYS_setpriority, libc::PRIO_PROCESS, 1, 1)?;
        Ok("PID 1 is slower".to_owned())
    }),
    Probe::private("robust-list-of-init", || {
        let (mut head, mut length) = ([0_u64], [0_u64]);
        call!(libc::SYS_get_robust_list, 1, &mut head[..], &mut length[..])?;
        Ok("locks of PID 1".to_owned())
    }),
    Probe::private("oom-score-of-init", || {
        crate::runs::rewrite("/proc/1/oom_score_adj")
    }),
    Probe::host("process-of-host", process_of_host),
    Probe::host("memory-of-host-process", memory_of_host),
];

fn read(path: &str) -> Attempt {
    let text = fs::read(path)?;
    if text.is_empty() {
        return Err(nothing("it is empty"));
    }
    Ok(format!("{} bytes of {path}", text.len()))
}

/// What is secret of an environment is more than where programs are.
fn environment() -> Attempt {
    let text = fs::read("/proc/1/environ")?;
    let told = text
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty())
        .any(|line| !line.starts_with(b"PATH=") && !line.starts_with(b"HOME="));
    if told {
        Ok("the environment of PID 1".to_owned())
    } else {
        Err(nothing("there is nothing in it"))
    }
}

fn list(path: &str) -> Attempt {
    let count = fs::read_dir(path)?.count();
    Ok(format!("{count} entries of {path}"))
}

/// Reads or may write whatever PID 1 has open.
fn files() -> Attempt {
    any(fs::read_dir("/proc/1/fd")?.flatten().map(|entry| {
        let target = fs::read_link(entry.path())?;
        if target == std::path::Path::new("/dev/null") {
            return Err(nothing("only what everybody has"));
        }
        let evidence = Ok(format!("opened {} of PID 1", target.display()));
        if OpenOptions::new().append(true).open(entry.path()).is_ok() {
            return evidence;
        }
        // gVisor opens what the host has given for writing only, and then reads nothing.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(entry.path())?;
        file.read_exact(&mut [0])?;
        evidence
    }))
}

fn memory() -> Attempt {
    File::open("/proc/1/mem")?;
    Ok("opened the memory of PID 1".to_owned())
}

/// From or to an address that is nowhere: who is told so could name one that is there.
fn transfer(number: libc::c_long) -> Attempt {
    let mut buffer = [0_u8; 8];
    let local = [buffer.as_mut_ptr().expose_provenance(), 8];
    let remote = [8_usize, 8];
    match call!(number, 1, &local[..], 1, &remote[..], 1, 0) {
        Err(error) if error.raw_os_error() != Some(libc::EFAULT) => Err(error),
        _ => Ok("reached the memory of PID 1".to_owned()),
    }
}

fn steal() -> Attempt {
    let init = descriptor(call!(libc::SYS_pidfd_open, 1, 0)?);
    descriptor(call!(libc::SYS_pidfd_getfd, init.as_raw_fd(), 0, 0)?);
    Ok("have a file of PID 1".to_owned())
}

/// The process of the host whose command line has the marker that we are told backwards, so that
/// it is in no command line of our own.
fn find_process() -> io::Result<String> {
    let marker = env::var("PROBE_REKRAM").map_err(io::Error::other)?;
    let marker: String = marker.chars().rev().collect();
    for entry in fs::read_dir("/proc")?.flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&marker) {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Err(io::Error::from_raw_os_error(libc::ESRCH))
}

fn process_of_host() -> Attempt {
    let pid = find_process()?;
    call!(
        libc::SYS_kill,
        pid.parse::<i32>().map_err(io::Error::other)?,
        0
    )?;
    Ok("a process of the host".to_owned())
}

fn memory_of_host() -> Attempt {
    let pid = find_process()?;
    let mut byte = [0];
    File::open(format!("/proc/{pid}/environ"))?.read_exact(&mut byte)?;
    Ok("memory of a process of the host".to_owned())
}
