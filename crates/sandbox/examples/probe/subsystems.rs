//! Parts of the kernel that have been ways out before.

use std::os::fd::AsRawFd;

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::sys::{call, descriptor};

const BPF_MAP_CREATE: i32 = 0;
const BPF_PROG_LOAD: i32 = 5;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_TRACEPOINT: u32 = 5;
const KEY_OF_PROCESS: i32 = -2;
const KEYCTL_READ: i32 = 11;
const KEYCTL_DESCRIBE: i32 = 6;
const KEY_OF_SESSION: i32 = -3;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_ATTRIBUTE_BYTES: u32 = 64;
const SCHED_FIFO: i32 = 1;
const IOPRIO_REAL_TIME: i32 = 1 << 13;
const FAN_MARK_ADD: u32 = 1;
const FAN_MARK_MOUNT: u32 = 0x10;
const FAN_OPEN: u64 = 0x20;

pub(crate) const PROBES: &[Probe] = &[
    Probe::host("io-uring-setup", io_uring),
    Probe::host("bpf-map-create", bpf_map),
    Probe::host("bpf-prog-load", bpf_program),
    Probe::host("userfaultfd", userfaultfd),
    Probe::host("key-add", add_key),
    Probe::host("key-request", request_key),
    Probe::host("keyring-describe", || keyctl(KEYCTL_DESCRIBE)),
    Probe::host("keyring-read", || keyctl(KEYCTL_READ)),
    Probe::host("perf-event-open", perf_event),
    Probe::host("fanotify", fanotify),
    Probe::host("open-by-handle", open_by_handle),
    Probe::private("process-accounting", accounting),
    Probe::host("real-time-scheduler", real_time),
    Probe::host("real-time-io", || {
        call!(libc::SYS_ioprio_set, 1, 0, IOPRIO_REAL_TIME)?;
        Ok("first at the disk".to_owned())
    }),
];

fn io_uring() -> Attempt {
    let mut parameters = [0_u32; 30];
    descriptor(call!(libc::SYS_io_uring_setup, 4, &mut parameters[..])?);
    Ok("a ring".to_owned())
}

fn bpf_map() -> Attempt {
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[BPF_MAP_TYPE_ARRAY, 4, 4, 1]);
    descriptor(call!(libc::SYS_bpf, BPF_MAP_CREATE, &attributes[..], 128)?);
    Ok("a map".to_owned())
}

/// `return 0`, to be attached to a trace point.
fn bpf_program() -> Attempt {
    let program = [0xb7_u64, 0x95];
    let license = c"GPL";
    let mut attributes = [0_u64; 16];
    attributes[0] = u64::from(BPF_PROG_TYPE_TRACEPOINT) | (2 << 32);
    attributes[1] = program.as_ptr().expose_provenance() as u64;
    attributes[2] = license.as_ptr().expose_provenance() as u64;
    descriptor(call!(libc::SYS_bpf, BPF_PROG_LOAD, &attributes[..], 128)?);
    Ok("a program in the kernel".to_owned())
}

fn userfaultfd() -> Attempt {
    descriptor(call!(libc::SYS_userfaultfd, libc::O_CLOEXEC)?);
    Ok("handles page faults".to_owned())
}

fn add_key() -> Attempt {
    let key = call!(
        libc::SYS_add_key,
        c"user",
        c"vm0-probe",
        &b"x"[..],
        1,
        KEY_OF_PROCESS
    )?;
    Ok(format!("key {key}"))
}

/// A key that is not there: who is told so could ask for one that is.
fn request_key() -> Attempt {
    match call!(libc::SYS_request_key, c"user", c"vm0-none", 0, 0) {
        Err(error) if error.raw_os_error() != Some(libc::ENOKEY) => Err(error),
        _ => Ok("the kernel looked for the key".to_owned()),
    }
}

fn keyctl(operation: i32) -> Attempt {
    let mut buffer = [0_u8; 256];
    call!(
        libc::SYS_keyctl,
        operation,
        KEY_OF_SESSION,
        &mut buffer[..],
        256
    )?;
    Ok("the keyring of the session".to_owned())
}

fn perf_event() -> Attempt {
    let mut attributes = [0_u32; 32];
    attributes[0] = PERF_TYPE_SOFTWARE;
    attributes[1] = PERF_ATTRIBUTE_BYTES;
    descriptor(call!(
        libc::SYS_perf_event_open,
        &attributes[..],
        0,
        -1,
        -1,
        0
    )?);
    Ok("counts events of the kernel".to_owned())
}

/// Watching what every process does in a whole mount.
fn fanotify() -> Attempt {
    let group = descriptor(call!(libc::SYS_fanotify_init, 0, 0)?);
    call!(
        libc::SYS_fanotify_mark,
        group.as_raw_fd(),
        FAN_MARK_ADD | FAN_MARK_MOUNT,
        FAN_OPEN,
        libc::AT_FDCWD,
        c"/"
    )?;
    Ok("watches a mount".to_owned())
}

/// A file by its number, past every directory and mount in between.
fn open_by_handle() -> Attempt {
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mut mount = [0_i32];
    call!(
        libc::SYS_name_to_handle_at,
        libc::AT_FDCWD,
        c"/usr",
        &mut handle[..],
        &mut mount[..],
        0
    )?;
    let root = std::fs::File::open("/usr")?;
    let opened = call!(
        libc::SYS_open_by_handle_at,
        root.as_raw_fd(),
        &handle[..],
        libc::O_RDONLY
    )?;
    descriptor(opened);
    Ok("opened a file by its handle".to_owned())
}

fn accounting() -> Attempt {
    std::fs::write("account", "")?;
    call!(libc::SYS_acct, c"account")?;
    call!(libc::SYS_acct, 0)?;
    Ok("records every process".to_owned())
}

/// gVisor takes any scheduler and has one only: asks whether it is really another.
fn real_time() -> Attempt {
    let parameters = [1_i32];
    call!(libc::SYS_sched_setscheduler, 0, SCHED_FIFO, &parameters[..])?;
    let now = call!(libc::SYS_sched_getscheduler, 0)?;
    if i32::try_from(now) == Ok(SCHED_FIFO) {
        Ok("before all others".to_owned())
    } else {
        Err(nothing("the scheduler is the same"))
    }
}
