//! The host's kernel through `/proc`, `/sys`, its log, modules and the power switch.

use std::fs;
use std::io;

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::runs::{any, mount, rewrite, writable};
use crate::sys::call;

const READ_ALL: i32 = 3;

pub(crate) const PROBES: &[Probe] = &[
    Probe::host("proc-core-pattern", || {
        rewrite("/proc/sys/kernel/core_pattern")
    }),
    Probe::host("proc-modprobe", || rewrite("/proc/sys/kernel/modprobe")),
    Probe::host("proc-panic", || rewrite("/proc/sys/kernel/panic")),
    Probe::host("proc-overcommit", || {
        rewrite("/proc/sys/vm/overcommit_memory")
    }),
    Probe::host("proc-ptrace-rules", || {
        rewrite("/proc/sys/fs/suid_dumpable")
    }),
    Probe::private("proc-host-name", || rewrite("/proc/sys/kernel/hostname")),
    Probe::private("proc-ip-forward", || {
        rewrite("/proc/sys/net/ipv4/ip_forward")
    }),
    Probe::prepared("proc-binfmt", binfmt, mount_binfmt),
    Probe::host("proc-sysrq", || writable("/proc/sysrq-trigger")),
    Probe::host("proc-timer-list", || read("/proc/timer_list")),
    Probe::host("proc-kallsyms", kallsyms),
    Probe::host("sys-block-queue", block_queue),
    Probe::host("sys-uevent", || {
        writable("/sys/devices/system/cpu/cpu0/uevent")
    }),
    Probe::host("kernel-log", kernel_log),
    Probe::host("dev-kmsg", || read_some("/dev/kmsg")),
    Probe::host("init-module", init_module),
    Probe::host("finit-module", finit_module),
    Probe::host("kexec-load", kexec_load),
    Probe::host("reboot", reboot),
    Probe::private("set-host-name", || name(libc::SYS_sethostname)),
    Probe::private("set-domain-name", || name(libc::SYS_setdomainname)),
];

/// The content of a file, which must not be empty: a masked file is.
fn read(path: &str) -> Attempt {
    let text = fs::read(path)?;
    if text.is_empty() {
        return Err(nothing("it is empty"));
    }
    Ok(format!("{} bytes of {path}", text.len()))
}

fn read_some(path: &str) -> Attempt {
    let file = fs::File::open(path)?;
    let mut buffer = [0_u8; 8192];
    let count = io::Read::read(&mut &file, &mut buffer)?;
    if count == 0 {
        return Err(nothing("it is empty"));
    }
    Ok(format!("{count} bytes of {path}"))
}

fn mount_binfmt() -> io::Result<()> {
    mount(c"none", c"/proc/sys/fs/binfmt_misc", c"binfmt_misc", 0)
}

fn binfmt() -> Attempt {
    writable("/proc/sys/fs/binfmt_misc/register")
}

fn kallsyms() -> Attempt {
    let text = fs::read_to_string("/proc/kallsyms")?;
    let line = text.lines().find(|line| {
        line.split(' ')
            .next()
            .is_some_and(|address| address.bytes().any(|b| b != b'0'))
    });
    match line {
        Some(_) => Ok("addresses of the kernel".to_owned()),
        None => Err(nothing("all addresses are 0")),
    }
}

fn block_queue() -> Attempt {
    let disks = fs::read_dir("/sys/block")?.flatten();
    any(disks.map(|disk| rewrite(&disk.path().join("queue/read_ahead_kb").to_string_lossy())))
}

/// gVisor has a log of its own, which tells nothing of the host.
fn kernel_log() -> Attempt {
    let mut buffer = vec![0_u8; 1 << 16];
    let count = call!(libc::SYS_syslog, READ_ALL, &mut buffer[..], 1_usize << 16)?;
    let text = String::from_utf8_lossy(&buffer[..count]);
    if text.is_empty() || text.contains("gVisor") {
        return Err(nothing("no log of the host's kernel"));
    }
    Ok(format!("{count} bytes of the log"))
}

/// An image that no kernel takes: who is told so could load another.
fn init_module() -> Attempt {
    let image = [0_u8; 64];
    taken(call!(libc::SYS_init_module, &image[..], 64, c""))
}

fn finit_module() -> Attempt {
    let file = fs::File::open("/proc/self/exe")?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    taken(call!(libc::SYS_finit_module, number, c"", 0))
}

fn taken(result: io::Result<usize>) -> Attempt {
    match result {
        Err(error) if error.raw_os_error() != Some(libc::ENOEXEC) => Err(error),
        _ => Ok("the kernel looked at the image".to_owned()),
    }
}

/// No segments: unloads what is not loaded.
fn kexec_load() -> Attempt {
    call!(libc::SYS_kexec_load, 0, 0, 0, 0)?;
    Ok("unloaded the next kernel".to_owned())
}

/// Says what control, alt and delete do, as it is now.
fn reboot() -> Attempt {
    let current = fs::read_to_string("/proc/sys/kernel/ctrl-alt-del").unwrap_or_default();
    let command = if current.trim() == "1" {
        libc::LINUX_REBOOT_CMD_CAD_ON
    } else {
        libc::LINUX_REBOOT_CMD_CAD_OFF
    };
    call!(
        libc::SYS_reboot,
        libc::LINUX_REBOOT_MAGIC1,
        libc::LINUX_REBOOT_MAGIC2,
        command,
        0
    )?;
    Ok("the switch obeys".to_owned())
}

fn name(number: libc::c_long) -> Attempt {
    call!(number, &b"escaped"[..], 7)?;
    Ok("another name".to_owned())
}
