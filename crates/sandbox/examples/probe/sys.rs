//! System calls as they are: libraries would refuse, translate or retry some of what is tried.

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One argument of a system call.
pub(crate) trait Argument {
    fn raw(self) -> usize;
}

macro_rules! integers {
    ($($kind:ty),*) => {
        $(impl Argument for $kind {
            fn raw(self) -> usize {
                // Sign-extended, as the kernel reads negative numbers.
                self as usize
            }
        })*
    };
}
integers!(i32, u32, i64, u64, usize);

impl Argument for &CStr {
    fn raw(self) -> usize {
        self.as_ptr().addr()
    }
}

impl<T> Argument for &[T] {
    fn raw(self) -> usize {
        self.as_ptr().expose_provenance()
    }
}

impl<T> Argument for &mut [T] {
    fn raw(self) -> usize {
        self.as_mut_ptr().expose_provenance()
    }
}

/// Makes a system call: `call!(SYS_x, arguments…)`.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::sys::by_number($number, &[$($crate::sys::Argument::raw($argument)),*])
    };
}
pub(crate) use call;

#[expect(unsafe_code, reason = "system calls by number have no safe wrapper")]
pub(crate) fn by_number(number: libc::c_long, arguments: &[usize]) -> io::Result<usize> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: every address is that of a live value of the caller, large enough for what the kernel
    // writes there; nothing here maps, unmaps or moves memory of this process.
    let result = unsafe {
        libc::syscall(
            number,
            argument(0),
            argument(1),
            argument(2),
            argument(3),
            argument(4),
            argument(5),
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Takes a descriptor that a system call has just made.
#[expect(
    unsafe_code,
    reason = "the number of a descriptor is all the kernel gives"
)]
pub(crate) fn descriptor(number: usize) -> OwnedFd {
    let number = i32::try_from(number).expect("descriptors are small");
    // SAFETY: the caller has got it from a system call that made it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Makes a child like fork, by `clone` or `clone3`, that ends at once.
pub(crate) fn child(made: io::Result<usize>) -> io::Result<String> {
    let pid = made?;
    if pid == 0 {
        let _ = call!(libc::SYS_exit_group, 0);
    }
    let mut status = [0_i32];
    let _ = call!(libc::SYS_wait4, pid, &mut status[..], 0, 0);
    Ok(format!("child {pid}"))
}
