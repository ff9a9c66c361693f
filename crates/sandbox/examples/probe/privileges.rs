//! Becoming somebody, and files that make others somebody.

use std::ffi::CStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::runs::{any, mount};
use crate::sys::call;

const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(2);
const FS_IOC_SETFLAGS: usize = 0x4008_6602;
const IMMUTABLE: [libc::c_long; 1] = [0x10];
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const SECURE_KEEP_CAPS: i32 = 1 << 4;

pub(crate) const PROBES: &[Probe] = &[
    Probe::private("become-root", || {
        call!(libc::SYS_setresuid, 0, 0, 0)?;
        Ok("uid 0".to_owned())
    }),
    Probe::private("become-group-root", || {
        call!(libc::SYS_setresgid, 0, 0, 0)?;
        Ok("gid 0".to_owned())
    }),
    Probe::private("join-groups", || {
        call!(libc::SYS_setgroups, 1, &[0_u32][..])?;
        Ok("one more group".to_owned())
    }),
    Probe::private("gain-capabilities", capabilities),
    Probe::private("secure-bits", || {
        call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, SECURE_KEEP_CAPS)?;
        Ok("other rules for capabilities".to_owned())
    }),
    Probe::host("setuid-program", setuid_program),
    Probe::private("give-file-to-root", give_to_root),
    Probe::private("file-capability", file_capability),
    Probe::private("overlay-attribute", || {
        xattr(c"trusted.overlay.opaque", b"y")
    }),
    Probe::private("trusted-attribute", || xattr(c"trusted.probe", b"y")),
    Probe::private("immutable-file", immutable),
    Probe::host("link-file-of-others", link_file),
    Probe::host("file-of-host", file_of_host),
    Probe::prepared(
        "write-usr",
        || write("/usr/local/vm0-probe"),
        || cover(c"/usr/local"),
    ),
    Probe::prepared("write-etc", || write("/etc/vm0-probe"), || cover(c"/etc")),
    Probe::prepared(
        "write-passwd",
        || {
            fs::OpenOptions::new().append(true).open("/etc/passwd")?;
            Ok("accounts are writable".to_owned())
        },
        || {
            cover(c"/etc")?;
            fs::write("/etc/passwd", "")
        },
    ),
    Probe::prepared(
        "write-boot",
        || write("/boot/vm0-probe"),
        || cover(c"/boot"),
    ),
];

/// Every capability that there is.
fn capabilities() -> Attempt {
    let header = [CAPABILITY_VERSION, 0];
    let mut held = [0_u32; 6];
    call!(libc::SYS_capget, &header[..], &mut held[..])?;
    if held[0] == 0 {
        // CAP_SYS_ADMIN and CAP_DAC_OVERRIDE, effective, permitted and inheritable.
        held[..3].fill((1 << 21) | (1 << 1));
    }
    call!(libc::SYS_capset, &header[..], &held[..])?;
    Ok(format!("capabilities {:x}", held[0]))
}

/// Starts a program that belongs to root and sees as whom it runs. It waits for a password.
fn setuid_program() -> Attempt {
    let mut command = Command::new("/usr/bin/su");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let start = Instant::now();
    let mut effective = None;
    while effective != Some(0) && start.elapsed() < PATIENCE {
        let text = fs::read_to_string(&status).unwrap_or_default();
        if text.starts_with("Name:\tsu\n") {
            effective = text.lines().find_map(|line| {
                line.strip_prefix("Uid:")?
                    .split_whitespace()
                    .nth(1)?
                    .parse()
                    .ok()
            });
        }
        if child.try_wait()?.is_some() {
            break;
        }
    }
    // It may be another's by now.
    let _ = child.kill();
    drop(child.stdin.take());
    let _ = child.wait();
    match effective {
        Some(0) => Ok("a program runs as root".to_owned()),
        _ => Err(nothing("it runs as its caller")),
    }
}

fn give_to_root() -> Attempt {
    fs::write("mine", "")?;
    std::os::unix::fs::chown("mine", Some(0), Some(0))?;
    fs::set_permissions("mine", Permissions::from_mode(0o4755))?;
    Ok("a setuid file of root".to_owned())
}

fn xattr(name: &CStr, value: &[u8]) -> Attempt {
    fs::write("mine", "")?;
    call!(libc::SYS_setxattr, c"mine", name, value, value.len(), 0)?;
    Ok(format!("set {}", name.to_string_lossy()))
}

/// All capabilities, to whoever executes the file.
fn file_capability() -> Attempt {
    let mut value = [0xff_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    xattr(c"security.capability", &value)
}

/// A file that even its owner cannot remove.
fn immutable() -> Attempt {
    let file = File::create("mine")?;
    call!(
        libc::SYS_ioctl,
        file.as_raw_fd(),
        FS_IOC_SETFLAGS,
        &IMMUTABLE[..]
    )?;
    call!(
        libc::SYS_ioctl,
        file.as_raw_fd(),
        FS_IOC_SETFLAGS,
        &[0 as libc::c_long][..]
    )?;
    Ok("an immutable file".to_owned())
}

fn host_file() -> io::Result<String> {
    std::env::var("PROBE_FILE").map_err(io::Error::other)
}

/// A name in the workspace for a file elsewhere.
fn link_file() -> Attempt {
    let host = host_file()?;
    let linked = any([
        "/usr/bin/env",
        "/etc/passwd",
        "/vm0/agent",
        "/proc/1/exe",
        &host,
    ]
    .map(|path| {
        fs::hard_link(path, "linked")?;
        Ok(format!("linked {path}"))
    }));
    let _ = fs::remove_file("linked");
    linked
}

fn file_of_host() -> Attempt {
    let text = fs::read_to_string(host_file()?)?;
    Ok(format!("{} bytes of a file of the host", text.len()))
}

fn cover(path: &CStr) -> io::Result<()> {
    mount(c"none", path, c"tmpfs", 0)
}

fn write(path: &str) -> Attempt {
    fs::write(path, "")?;
    fs::remove_file(path)?;
    Ok(format!("wrote {path}"))
}
