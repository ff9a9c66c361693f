//! The terminal of a program: a pseudo-terminal whose master PID 1 holds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid, fchown, tcgetpgrp};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use vm0_guest::{GID, TerminalSize, UID};

const COPY_BUFFER: usize = 64 * 1024;
/// What a person types for the end of the input.
const END_OF_INPUT: u8 = 4;

/// The master of a terminal. Clones are the same one; it hangs up when the last of them is dropped.
#[derive(Clone)]
pub(crate) struct Terminal {
    master: Rc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    /// A new terminal, and the end of it that is for the program.
    pub(crate) fn open(size: TerminalSize) -> io::Result<(Self, OwnedFd)> {
        let OpenptyResult { master, slave } = openpty(&winsize(size), None)?;
        for end in [&master, &slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        fcntl(
            &master,
            FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK),
        )?;
        // So that programs may open it by its name; where the kernel of a sandbox does not allow
        // it, what they have open is enough.
        let _ = fchown(&slave, Some(Uid::from_raw(UID)), Some(Gid::from_raw(GID)));
        Ok((
            Self {
                master: Rc::new(registered(master)?),
            },
            slave,
        ))
    }

    /// Gives it another size.
    #[expect(unsafe_code, reason = "the size of a terminal has no safe wrapper")]
    pub(crate) fn resize(&self, size: TerminalSize) {
        let size = winsize(size);
        // SAFETY: the call reads the live struct that it is given.
        let _ = unsafe {
            libc::ioctl(
                self.master.get_ref().as_raw_fd(),
                libc::TIOCSWINSZ,
                &raw const size,
            )
        };
    }

    /// Signals the process group in its foreground, or `leader` if that is not known.
    pub(crate) fn signal(&self, signal: Signal, leader: Pid) {
        let foreground = tcgetpgrp(self.master.get_ref())
            .ok()
            .filter(|group| group.as_raw() > 1);
        let _ = killpg(foreground.unwrap_or(leader), signal);
    }

    /// Types what comes from `input`, and the end of the input at its end.
    pub(crate) async fn copy_in(self, mut input: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; COPY_BUFFER];
        while let Ok(read @ 1..) = input.read(&mut buffer).await {
            if self.write(&buffer[..read]).await.is_err() {
                return;
            }
        }
        let _ = self.write(&[END_OF_INPUT]).await;
    }

    /// Sends what is shown to `output`, until no program has the terminal open.
    pub(crate) async fn copy_out(self, mut output: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; COPY_BUFFER];
        while let Ok(read @ 1..) = self.read(&mut buffer).await {
            if output.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = output.shutdown().await;
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self
                .master
                .async_io(Interest::WRITABLE, |master| {
                    Ok(nix::unistd::write(master, bytes)?)
                })
                .await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.master
            .async_io(Interest::READABLE, |master| {
                match nix::unistd::read(master, buffer) {
                    // Nobody has the other end open any more.
                    Err(Errno::EIO) => Ok(0),
                    read => Ok(read?),
                }
            })
            .await
    }
}

#[expect(
    unsafe_code,
    reason = "a descriptor may not be closed while it is registered"
)]
fn registered(master: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` owns a valid descriptor, and nobody replaces or closes it.
    Ok(unsafe { AsyncFd::register(master)? })
}

fn winsize(size: TerminalSize) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Runs between fork and exec: makes standard input the terminal of a session of its own.
///
/// Only system calls: the process is a copy of a program that may hold locks.
#[expect(unsafe_code, reason = "runs between fork and exec")]
pub(crate) fn take_terminal() -> io::Result<()> {
    // SAFETY: plain system calls without pointers.
    let done = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
