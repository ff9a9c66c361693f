//! The host's end of the channel: programs, files and proxy connections of one guest.
//!
//! Bounded whatever the guest does: a stream holds at most a window of unread bytes, and proxy
//! connections wait in a queue of [`MAX_FORWARDS`]; past it they are reset.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use vm0_guest::config::MAX_FORWARDS;
use vm0_guest::frame::{self, MAX_GUEST_FRAME, MAX_HOST_FRAME};
use vm0_guest::{
    Channel, ExecHeader, GuestHeader, Hello, HostHeader, Incoming, Input, Mux, MuxStream, Notice,
    PROTOCOL_VERSION, Request, Side, Transparent,
};

use crate::contract::{ByteStream, ExecSpec, Exit, Process, ProcessControl, Stdin, TerminalSize};
use crate::error::SandboxError;

/// Says how often the memory limit has killed something in the sandbox.
pub(crate) type OomCount = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A guest that has said hello.
pub(crate) struct Guest {
    mux: Mux,
    processes: AtomicU64,
    forwards: Mutex<mpsc::Receiver<MuxStream>>,
    oom_count: OomCount,
    transparent: Transparent,
    tasks: [JoinHandle<()>; 2],
}

impl Guest {
    /// Reads the guest's hello and takes over the channel.
    pub(crate) async fn connect<R, W>(
        mut reader: R,
        writer: W,
        oom_count: OomCount,
    ) -> Result<Self, SandboxError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let hello: Hello = frame::read(&mut reader, MAX_GUEST_FRAME).await?;
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(vm0_guest::FrameError::Version(hello.protocol_version).into());
        }
        tracing::debug!(agent_version = hello.agent_version, "guest agent answers");
        let (mux, incoming, run) = Mux::new(tokio::io::join(reader, writer), Side::Host);
        let (sender, forwards) = mpsc::channel(MAX_FORWARDS);
        Ok(Self {
            mux,
            processes: AtomicU64::new(1),
            forwards: Mutex::new(forwards),
            oom_count,
            transparent: hello.transparent,
            tasks: [tokio::spawn(run), tokio::spawn(receive(incoming, sender))],
        })
    }

    /// Whether programs that know no proxy are served.
    pub(crate) fn transparent(&self) -> &Transparent {
        &self.transparent
    }

    /// Starts a program; it has not necessarily started when this returns.
    pub(crate) async fn exec(&self, spec: ExecSpec) -> Result<Process, SandboxError> {
        let id = self.processes.fetch_add(1, Ordering::Relaxed);
        let piped = spec.stdin == Stdin::Pipe;
        let header = HostHeader::Exec(ExecHeader {
            process: id,
            argv: spec.argv,
            env: spec.env,
            cwd: spec.cwd,
            stdin: match spec.stdin {
                Stdin::Null => Input::Null,
                Stdin::Pipe => Input::Pipe,
                Stdin::File(path) => Input::File(path),
            },
            terminal: spec.terminal,
        });
        let killed_before = (self.oom_count)();
        let control = self.open(&header).await?;
        let attach = |channel| HostHeader::Attach {
            process: id,
            channel,
        };
        let stdout = self.open(&attach(Channel::Stdout)).await?;
        let stderr = self.open(&attach(Channel::Stderr)).await?;
        let stdin: Option<Pin<Box<dyn AsyncWrite + Send>>> = if piped {
            Some(Box::pin(self.open(&attach(Channel::Stdin)).await?))
        } else {
            None
        };
        let control = Control::start(control, self.oom_count.clone(), killed_before);
        Ok(Process {
            stdin,
            stdout: Box::pin(stdout),
            stderr: Box::pin(stderr),
            control: Box::new(control),
        })
    }

    /// The next connection to the proxy; `None` once the guest has died.
    pub(crate) async fn accept(&self) -> Option<ByteStream> {
        let stream = self.forwards.lock().await.recv().await?;
        Some(Box::pin(stream))
    }

    /// Kills every process of the user and waits until there is none.
    pub(crate) async fn kill_all(&self) -> Result<(), SandboxError> {
        let mut stream = self.open(&HostHeader::KillAll).await?;
        match frame::read(&mut stream, MAX_GUEST_FRAME).await {
            Ok(Notice::Killed) => Ok(()),
            _ => Err(SandboxError::Gone),
        }
    }

    async fn open(&self, header: &HostHeader) -> Result<MuxStream, SandboxError> {
        let frame = frame::encode(header, MAX_HOST_FRAME)?;
        let mut stream = self.mux.open().await.map_err(|_| SandboxError::Gone)?;
        stream
            .write_all(&frame)
            .await
            .map_err(|_| SandboxError::Gone)?;
        stream.flush().await.map_err(|_| SandboxError::Gone)?;
        Ok(stream)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Sorts out what the guest opens: only proxy connections.
async fn receive(mut incoming: Incoming, forwards: mpsc::Sender<MuxStream>) {
    while let Some(mut stream) = incoming.next().await {
        let Ok(permit) = forwards.clone().try_reserve_owned() else {
            continue;
        };
        tokio::spawn(async move {
            let header = frame::read::<GuestHeader, _>(&mut stream, MAX_GUEST_FRAME);
            let patience = std::time::Duration::from_secs(10);
            if let Ok(Ok(GuestHeader::Forward)) = tokio::time::timeout(patience, header).await {
                permit.send(stream);
            }
        });
    }
}

type End = Option<Result<Exit, ()>>;

struct Control {
    requests: Mutex<WriteHalf<MuxStream>>,
    end: watch::Receiver<End>,
}

impl Control {
    fn start(stream: MuxStream, oom_count: OomCount, killed_before: u64) -> Self {
        let (notices, requests) = tokio::io::split(stream);
        let (sender, end) = watch::channel(None);
        tokio::spawn(async move {
            let code = exit_code(notices).await;
            let out_of_memory = oom_count() > killed_before;
            let end = match code {
                Some(code) => Ok(Exit {
                    code,
                    out_of_memory,
                }),
                // The whole sandbox was killed for the memory that its programs used.
                None if out_of_memory => Ok(Exit {
                    code: 137,
                    out_of_memory,
                }),
                None => Err(()),
            };
            let _ = sender.send(Some(end));
        });
        Self {
            requests: Mutex::new(requests),
            end,
        }
    }
}

impl Control {
    async fn request(&self, request: Request) -> Result<(), SandboxError> {
        if let Some(end) = *self.end.borrow() {
            return end.map(|_| ()).map_err(|()| SandboxError::Gone);
        }
        let mut requests = self.requests.lock().await;
        // A failure means that the program has just ended, or the guest with it.
        let _ = frame::write(&mut *requests, &request, MAX_HOST_FRAME).await;
        Ok(())
    }
}

/// The exit code that the guest tells; `None` if it dies before.
async fn exit_code(mut notices: ReadHalf<MuxStream>) -> Option<i32> {
    loop {
        match frame::read(&mut notices, MAX_GUEST_FRAME).await {
            Ok(Notice::Exited(code)) => return Some(code),
            Ok(Notice::Started | Notice::Killed) => {}
            Err(_) => return None,
        }
    }
}

#[async_trait]
impl ProcessControl for Control {
    async fn signal(&self, signal: i32) -> Result<(), SandboxError> {
        self.request(Request::Signal(signal)).await
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), SandboxError> {
        self.request(Request::Resize(size)).await
    }

    async fn wait(&self) -> Result<Exit, SandboxError> {
        let mut end = self.end.clone();
        let end = end
            .wait_for(Option::is_some)
            .await
            .map_err(|_| SandboxError::Gone)?;
        match *end {
            Some(Ok(exit)) => Ok(exit),
            _ => Err(SandboxError::Gone),
        }
    }
}
