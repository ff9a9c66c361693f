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

use super::process::{self, Started};
use super::reaper::Reaper;

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
    let group = Pid::from_raw(started.pid);
    connect(started, input, output, errors);
    if frame::write(&mut control, &Notice::Started, MAX_GUEST_FRAME)
        .await
        .is_err()
    {
        return;
    }
    let code = follow(&mut control, group, exit).await;
    let _ = frame::write(&mut control, &Notice::Exited(code), MAX_GUEST_FRAME).await;
    let _ = control.shutdown().await;
}

/// Delivers signals until the program has ended; its exit code.
async fn follow(control: &mut MuxStream, group: Pid, mut exit: oneshot::Receiver<i32>) -> i32 {
    loop {
        tokio::select! {
            biased;
            code = &mut exit => return code.unwrap_or(-1),
            request = frame::read::<Request, _>(control, MAX_HOST_FRAME) => match request {
                Ok(Request::Signal(number)) => {
                    if let Ok(signal) = Signal::try_from(number) {
                        let _ = nix::sys::signal::killpg(group, signal);
                    }
                }
                Err(_) => return exit.await.unwrap_or(-1),
            },
        }
    }
}

fn connect(started: Started, input: Option<MuxStream>, output: MuxStream, errors: MuxStream) {
    if let (Some(stdin), Some(input)) = (started.stdin, input) {
        tokio::task::spawn_local(copy(input, stdin));
    }
    tokio::task::spawn_local(copy(started.stdout, output));
    tokio::task::spawn_local(copy(started.stderr, errors));
}

/// Copies until either end ends, then closes both.
async fn copy(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut from = tokio::io::BufReader::with_capacity(COPY_BUFFER, from);
    let _ = tokio::io::copy_buf(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}
