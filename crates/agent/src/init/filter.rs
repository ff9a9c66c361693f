//! The system calls that PID 1 takes from itself and all it starts, where the runtime has no filter
//! of its own.
//!
//! In gVisor nobody gets out by them. But in a user namespace a program is root of gVisor's kernel,
//! mounts, and changes the control groups by which it is limited; and a part of that kernel that
//! nobody can ask has no faults.

use std::io;

/// The xattr system calls, numbered consecutively on x86-64 and on AArch64: gVisor answers some of
/// them wrongly.
const XATTR: (libc::c_long, libc::c_long) = (libc::SYS_setxattr, libc::SYS_fremovexattr);
/// What `runc` denies by the filter in `sandbox`, and gVisor knows.
const DENIED: [libc::c_long; 29] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_settime,
    libc::SYS_fanotify_init,
    libc::SYS_get_robust_list,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];
const NAMESPACES: u32 = 0x7E02_0000;
/// Where the number and the lower half of the first argument are, on little-endian machines.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

/// Puts the filter in force, for this process and all it starts.
#[expect(unsafe_code, reason = "seccomp filters have no safe wrapper")]
pub(super) fn install() -> io::Result<()> {
    let mut program = program();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("the list is short"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `filter` and the program it points to outlive the call, which copies them.
    let rc = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
            0,
            0,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![
        load(NUMBER),
        step(libc::BPF_JMP | libc::BPF_JGE, 0, 2, number(XATTR.0)),
        step(libc::BPF_JMP | libc::BPF_JGT, 1, 0, number(XATTR.1)),
        refuse(libc::EOPNOTSUPP),
    ];
    for call in DENIED {
        program.extend([unless(call, 1), refuse(libc::EPERM)]);
    }
    // The flags of clone3 are in memory, where a filter cannot look; programs fall back to clone.
    program.extend([unless(libc::SYS_clone3, 1), refuse(libc::ENOSYS)]);
    program.extend([
        unless(libc::SYS_clone, 3),
        load(FIRST_ARGUMENT),
        step(libc::BPF_JMP | libc::BPF_JSET, 0, 1, NAMESPACES),
        refuse(libc::EPERM),
        step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]);
    program
}

fn step(code: u32, if_true: u8, if_false: u8, operand: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code | libc::BPF_K).expect("BPF codes are 16 bits"),
        jt: if_true,
        jf: if_false,
        k: operand,
    }
}

fn load(offset: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

/// Passes over so many steps if this is another call.
fn unless(call: libc::c_long, steps: u8) -> libc::sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ, 0, steps, number(call))
}

fn refuse(errno: i32) -> libc::sock_filter {
    step(
        libc::BPF_RET,
        0,
        0,
        libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(),
    )
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("system call numbers are small")
}
