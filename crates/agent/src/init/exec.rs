//! One program's life on its streams: attached input and outputs, signals in, the end out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use vm0_guest::frame::{self, MAX_GUEST_FRAME, MAX_HOST_FRAME};
use vm0_guest::{Channel, ExecHeader, Input, MuxStream, Notice, Request};

use super::process::{self, Pipes, Streams};
use super::reaper::Reaper;
use super::terminal::Terminal;

const ATTACH_TIMEOUT: Duration = Duration::from_secs(30);
const COPY_BUFFER: usize = 64 * 1024;

/// Streams that have arrived for programs, and programs that wait for streams.
#[derive(Clone, Default)]
pub(crate) struct Attachments {
    slots: Rc<RefCell<HashMap<(u64, Channel), Slot>>>,
}

enum Slot {
    Arrived(MuxStream),
    Wanted(oneshot::Sender<MuxStream>),
}

impl Attachments {
    /// A stream has arrived.
    pub(crate) fn arrived(&self, process: u64, channel: Channel, stream: MuxStream) {
        let mut slots = self.slots.borrow_mut();
        match slots.remove(&(process, channel)) {
            Some(Slot::Wanted(sender)) => {
                let _ = sender.send(stream);
            }
            _ => {
                slots.insert((process, channel), Slot::Arrived(stream));
            }
        }
    }

    async fn take(&self, process: u64, channel: Channel) -> Option<MuxStream> {
        let wanted = {
            let mut slots = self.slots.borrow_mut();
            if let Some(Slot::Arrived(stream)) = slots.remove(&(process, channel)) {
                return Some(stream);
            }
            let (sender, wanted) = oneshot::channel();
            slots.insert((process, channel), Slot::Wanted(sender));
            wanted
        };
        let stream = tokio::time::timeout(ATTACH_TIMEOUT, wanted).await;
        self.slots.borrow_mut().remove(&(process, channel));
        stream.ok()?.ok()
    }
}

/// Starts the program and stays until it has ended and its end is told.
pub(crate) async fn exec(
    header: ExecHeader,
    mut control: MuxStream,
    attachments: Attachments,
    reaper: Reaper,
) {
    let id = header.process;
    let input = match header.stdin {
        Input::Pipe => attachments.take(id, Channel::Stdin).await,
        Input::Null | Input::File(_) => None,
    };
    let Some(output) = attachments.take(id, Channel::Stdout).await else {
        return;
    };
    let Some(mut errors) = attachments.take(id, Channel::Stderr).await else {
        return;
    };
    let started = match process::start(&header) {
        Ok(started) => started,
        Err(error) => {
            let code = process::exit_code_of(&error);
            // A program that is not there is for the host to explain, which knows the image.
            if code != process::NOT_FOUND {
                let program = header.argv.first().map_or("", String::as_str);
                let text = format!("vm0: cannot start {program}: {error}\n");
                let _ = errors.write_all(text.as_bytes()).await;
            }
            let _ = errors.shutdown().await;
            let _ = frame::write(&mut control, &Notice::Exited(code), MAX_GUEST_FRAME).await;
            return;
        }
    };
    let exit = reaper.expect(started.pid);
    let leader = Pid::from_raw(started.pid);
    match started.streams {
        Streams::Pipes(pipes) => {
            connect(pipes, input, output, errors);
            let _ = stay(&mut control, leader, None, exit).await;
            let _ = control.shutdown().await;
        }
        Streams::Terminal(terminal) => {
            let _ = errors.shutdown().await;
            let shown = tokio::task::spawn_local(terminal.clone().copy_out(output));
            let typed =
                input.map(|input| tokio::task::spawn_local(terminal.clone().copy_in(input)));
            if stay(&mut control, leader, Some(&terminal), exit)
                .await
                .is_ok()
            {
                // The host is done with the program once it ends this stream.
                let _ = frame::read::<Request, _>(&mut control, MAX_HOST_FRAME).await;
            }
            shown.abort();
            typed.inspect(tokio::task::JoinHandle::abort);
            let _ = control.shutdown().await;
        }
    }
}

/// The host has gone, or with it the whole channel.
struct HostGone;

/// Tells of a program's start and end, and does what the host asks for in between.
async fn stay(
    control: &mut MuxStream,
    leader: Pid,
    terminal: Option<&Terminal>,
    exit: oneshot::Receiver<i32>,
) -> Result<(), HostGone> {
    let tell = frame::write(control, &Notice::Started, MAX_GUEST_FRAME).await;
    tell.map_err(|_| HostGone)?;
    let code = follow(control, leader, terminal, exit).await?;
    let tell = frame::write(control, &Notice::Exited(code), MAX_GUEST_FRAME).await;
    tell.map_err(|_| HostGone)
}

/// Does what the host asks for until the program has ended; its exit code.
async fn follow(
    control: &mut MuxStream,
    leader: Pid,
    terminal: Option<&Terminal>,
    mut exit: oneshot::Receiver<i32>,
) -> Result<i32, HostGone> {
    loop {
        tokio::select! {
            biased;
            code = &mut exit => return Ok(code.unwrap_or(-1)),
            request = frame::read::<Request, _>(control, MAX_HOST_FRAME) => match request {
                Ok(Request::Signal(number)) => {
                    if let Ok(signal) = Signal::try_from(number) {
                        send(signal, leader, terminal);
                    }
                }
                Ok(Request::Resize(size)) => {
                    if let Some(terminal) = terminal {
                        terminal.resize(size);
                    }
                }
                Err(_) => return Err(HostGone),
            },
        }
    }
}

fn send(signal: Signal, leader: Pid, terminal: Option<&Terminal>) {
    match terminal {
        Some(terminal) => terminal.signal(signal, leader),
        None => {
            let _ = nix::sys::signal::killpg(leader, signal);
        }
    }
}

fn connect(pipes: Pipes, input: Option<MuxStream>, output: MuxStream, errors: MuxStream) {
    if let (Some(stdin), Some(input)) = (pipes.stdin, input) {
        tokio::task::spawn_local(copy(input, stdin));
    }
    tokio::task::spawn_local(copy(pipes.stdout, output));
    tokio::task::spawn_local(copy(pipes.stderr, errors));
}

/// Copies until either end ends, then closes both.
async fn copy(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut from = tokio::io::BufReader::with_capacity(COPY_BUFFER, from);
    let _ = tokio::io::copy_buf(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}
