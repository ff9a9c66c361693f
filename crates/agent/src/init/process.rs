//! Starts one program.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use tokio::net::unix::pipe;
use vm0_guest::{ExecHeader, Input, TerminalSize};

use super::confine::become_user;
use super::terminal::{Terminal, take_terminal};

/// A program that runs, with our ends of its streams.
pub(crate) struct Started {
    pub(crate) pid: i32,
    pub(crate) streams: Streams,
}

/// Our ends of a program's streams.
pub(crate) enum Streams {
    /// Each apart.
    Pipes(Pipes),
    /// All are one terminal.
    Terminal(Terminal),
}

/// Our ends of a program's pipes.
pub(crate) struct Pipes {
    pub(crate) stdin: Option<pipe::Sender>,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: pipe::Receiver,
}

/// Starts a program as the user, in its own process group; with a terminal, in its own session.
pub(crate) fn start(header: &ExecHeader) -> io::Result<Started> {
    match header.terminal {
        Some(size) => start_on_terminal(header, size),
        None => start_on_pipes(header),
    }
}

#[expect(unsafe_code, reason = "the user changes between fork and exec")]
fn start_on_pipes(header: &ExecHeader) -> io::Result<Started> {
    let (mut command, cwd) = command(header)?;
    command.process_group(0);
    match &header.stdin {
        Input::Null => command.stdin(Stdio::null()),
        Input::Pipe => command.stdin(Stdio::piped()),
        Input::File(path) => command.stdin(open_input(path)?),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: `become_user` only makes system calls.
    unsafe {
        command.pre_exec(move || become_user(&cwd));
    }
    let mut child = command.spawn()?;
    let stdin = child
        .stdin
        .take()
        .map(|fd| pipe::Sender::from_owned_fd(OwnedFd::from(fd)));
    let stdout = child.stdout.take().expect("asked for a pipe");
    let stderr = child.stderr.take().expect("asked for a pipe");
    Ok(Started {
        pid: pid_of(&child),
        streams: Streams::Pipes(Pipes {
            stdin: stdin.transpose()?,
            stdout: pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?,
            stderr: pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?,
        }),
    })
}

#[expect(unsafe_code, reason = "the user changes between fork and exec")]
fn start_on_terminal(header: &ExecHeader, size: TerminalSize) -> io::Result<Started> {
    let (mut command, cwd) = command(header)?;
    let (terminal, line) = Terminal::open(size)?;
    command
        .stdin(line.try_clone()?)
        .stdout(line.try_clone()?)
        .stderr(line);
    // SAFETY: both functions only make system calls.
    unsafe {
        command.pre_exec(move || {
            take_terminal()?;
            become_user(&cwd)
        });
    }
    let child = command.spawn()?;
    // Our copies of the program's end are closed with the command: the end of the last of its
    // processes is the end of the output.
    drop(command);
    Ok(Started {
        pid: pid_of(&child),
        streams: Streams::Terminal(terminal),
    })
}

fn command(header: &ExecHeader) -> io::Result<(Command, CString)> {
    let (program, args) = header
        .argv
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let cwd = CString::new(header.cwd.as_str())?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(&header.env);
    Ok((command, cwd))
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a pid fits")
}

/// Opens a regular file as the user would not be able to trick PID 1 into: it must be readable by
/// everyone, which the platform's files are.
fn open_input(path: &str) -> io::Result<std::fs::File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path)?;
    let metadata = file.metadata()?;
    let readable = metadata.mode() & 0o004 != 0 || metadata.uid() == vm0_guest::UID;
    if !metadata.is_file() || !readable {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(file)
}

/// The exit code of a program that is not there.
pub(crate) const NOT_FOUND: i32 = 127;

/// The exit code that stands for a program that could not be started.
pub(crate) fn exit_code_of(error: &io::Error) -> i32 {
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        126
    }
}
