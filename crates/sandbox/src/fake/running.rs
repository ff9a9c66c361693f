//! A simulated sandbox that runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use tokio::sync::watch;

use super::backend::{FakeStopped, Name};
use super::command::Program;
use super::files::GuestTree;
use crate::contract::{
    ByteStream, ExecSpec, Exit, FileLimits, GuestFile, Process, ProcessControl, Sandbox, Stats,
    Stdin, Stopped, TerminalSize, Transparent,
};
use crate::error::SandboxError;

const PIPE: usize = 64 * 1024;
const KILL: i32 = 9;

/// Zero: none yet.
type Signal = watch::Sender<i32>;
type End = Option<Result<Exit, ()>>;

/// A simulated sandbox.
pub(super) struct FakeSandbox {
    dir: PathBuf,
    targets: Vec<String>,
    tree: Arc<GuestTree>,
    programs: Mutex<Vec<(Signal, watch::Sender<End>)>>,
    stopping: watch::Sender<bool>,
    _name: Name,
}

impl FakeSandbox {
    pub(super) fn new(dir: PathBuf, targets: Vec<String>, tree: GuestTree, name: Name) -> Self {
        Self {
            dir,
            targets,
            tree: Arc::new(tree),
            programs: Mutex::default(),
            stopping: watch::Sender::new(false),
            _name: name,
        }
    }

    fn signal_all(&self) -> Vec<watch::Receiver<End>> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *programs);
        taken
            .into_iter()
            .map(|(signal, end)| {
                signal.send_replace(KILL);
                end.subscribe()
            })
            .collect()
    }
}

impl Drop for FakeSandbox {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        self.signal_all();
    }
}

#[async_trait]
impl Sandbox for FakeSandbox {
    async fn exec(&self, spec: ExecSpec) -> Result<Process, SandboxError> {
        if spec.argv.is_empty() || !spec.cwd.starts_with('/') {
            let reason = "it needs a program and an absolute working directory";
            return Err(SandboxError::Spec {
                field: "program",
                reason,
            });
        }
        let (stdout, out) = tokio::io::duplex(PIPE);
        let (stderr, err) = tokio::io::duplex(PIPE);
        let mut input: Option<std::pin::Pin<Box<dyn AsyncWrite + Send>>> = None;
        let stdin: std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> = match &spec.stdin {
            Stdin::Null => Box::pin(tokio::io::empty()),
            Stdin::Pipe => {
                let (near, far) = tokio::io::duplex(PIPE);
                input = Some(Box::pin(near));
                Box::pin(far)
            }
            Stdin::File(path) => {
                let bytes = self
                    .tree
                    .read(path)
                    .map_err(SandboxError::io("open", path))?;
                Box::pin(std::io::Cursor::new(bytes))
            }
        };
        let size = spec.terminal.map(watch::Sender::new);
        let mut program = Program {
            tree: self.tree.clone(),
            env: spec.env,
            cwd: spec.cwd,
            stdin,
            stdout: Box::pin(out),
            stderr: Box::pin(err),
            terminal: size.as_ref().map(watch::Sender::subscribe),
        };
        let (signal, end) = (watch::Sender::new(0), watch::Sender::new(None));
        let mut signalled = signal.subscribe();
        let (ended, stopping) = (end.clone(), self.stopping.subscribe());
        tokio::spawn(async move {
            let code = tokio::select! {
                biased;
                Ok(number) = signalled.wait_for(|number| *number != 0) => 128 + *number,
                code = program.run(&spec.argv) => code,
            };
            drop(program);
            let stopped = *stopping.borrow();
            let end = if stopped {
                Err(())
            } else {
                Ok(Exit {
                    code,
                    out_of_memory: false,
                })
            };
            ended.send_replace(Some(end));
        });
        let control = Control {
            signal: signal.clone(),
            end: end.subscribe(),
            size,
        };
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.retain(|(_, end)| end.borrow().is_none());
        programs.push((signal, end));
        Ok(Process {
            stdin: input,
            stdout: Box::pin(stdout),
            stderr: Box::pin(stderr),
            control: Box::new(control),
        })
    }

    async fn put_files(&self, base: &str, files: Vec<GuestFile>) -> Result<(), SandboxError> {
        for file in files {
            let path = format!("{base}/{}", file.path);
            self.tree
                .write(&path, &file.bytes, false)
                .map_err(|error| SandboxError::Files {
                    action: "write",
                    output: format!("{path}: {error}"),
                })?;
        }
        Ok(())
    }

    async fn get_files(
        &self,
        base: &str,
        patterns: &[String],
        limits: FileLimits,
    ) -> Result<Vec<GuestFile>, SandboxError> {
        let failed = |error: std::io::Error| SandboxError::Files {
            action: "read",
            output: error.to_string(),
        };
        let mut files = Vec::new();
        let mut bytes = 0;
        for path in self.tree.list(base).map_err(failed)? {
            if !patterns
                .iter()
                .any(|pattern| vm0_guest::files::matches(pattern, &path))
            {
                continue;
            }
            let content = self.tree.read(&format!("{base}/{path}")).map_err(failed)?;
            bytes += content.len() as u64;
            files.push(GuestFile {
                path,
                bytes: content,
            });
            if files.len() > limits.files || bytes > limits.bytes {
                return Err(SandboxError::TooLarge {
                    files: limits.files,
                    bytes: limits.bytes,
                });
            }
        }
        Ok(files)
    }

    async fn put_platform_file(&self, name: &str, bytes: &[u8]) -> Result<(), SandboxError> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') || name == "agent" {
            return Err(SandboxError::Spec {
                field: "platform file",
                reason: "not a plain name",
            });
        }
        let path = format!("/vm0/{name}");
        self.tree
            .write_platform(&path, bytes)
            .map_err(SandboxError::io("write", &path))
    }

    fn transparent(&self) -> &Transparent {
        // No simulated program makes a connection.
        &Transparent::Off
    }

    async fn accept(&self) -> Option<ByteStream> {
        let _ = self
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
        None
    }

    async fn stats(&self) -> Result<Stats, SandboxError> {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let pids = programs
            .iter()
            .filter(|(_, end)| end.borrow().is_none())
            .count();
        let pids = u32::try_from(pids).unwrap_or(u32::MAX);
        Ok(Stats {
            disk_bytes: self.tree.written(),
            pids,
            ..Stats::default()
        })
    }

    async fn kill_all(&self) -> Result<(), SandboxError> {
        for mut end in self.signal_all() {
            let _ = end.wait_for(Option::is_some).await;
        }
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<Box<dyn Stopped>, SandboxError> {
        self.stopping.send_replace(true);
        self.kill_all().await?;
        Ok(Box::new(FakeStopped::new(
            self.dir.clone(),
            self.targets.clone(),
        )))
    }
}

struct Control {
    signal: Signal,
    end: watch::Receiver<End>,
    size: Option<watch::Sender<TerminalSize>>,
}

#[async_trait]
impl ProcessControl for Control {
    async fn signal(&self, signal: i32) -> Result<(), SandboxError> {
        self.signal.send_replace(signal);
        Ok(())
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), SandboxError> {
        if let Some(terminal) = &self.size {
            terminal.send_replace(size);
        }
        Ok(())
    }

    async fn wait(&self) -> Result<Exit, SandboxError> {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(exit))) => Ok(*exit),
            _ => Err(SandboxError::Gone),
        }
    }
}
