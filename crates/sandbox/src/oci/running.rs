//! A running sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use vm0_guest::AGENT_PATH;
use vm0_guest::files::{Bounds, FilesError, read_all, write_end, write_record};

use super::backend::Prepared;
use super::cgroup::Cgroup;
use super::layout::Layout;
use super::process;
use super::stopped::{OciStopped, blocking};
use crate::channel::Guest;
use crate::contract::{
    ByteStream, ExecSpec, FileLimits, GuestFile, Process, Sandbox, Stats, Stdin, Stopped,
    Transparent,
};
use crate::error::SandboxError;

const PUT_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_ERROR_TEXT: u64 = 4096;
const RECORD_OVERHEAD: u64 = 16 + vm0_guest::files::MAX_PATH as u64;

/// A sandbox whose guest agent has said hello.
pub(crate) struct OciSandbox {
    pub(crate) layout: Layout,
    pub(crate) guest: Guest,
    pub(crate) runtime: Child,
    pub(crate) cgroup: Cgroup,
    /// Keeps what the sandbox's root is made of.
    pub(crate) _prepared: Arc<Prepared>,
    /// Writable space in use when it started.
    pub(crate) disk_at_start: u64,
}

#[async_trait]
impl Sandbox for OciSandbox {
    async fn exec(&self, spec: ExecSpec) -> Result<Process, SandboxError> {
        check(&spec)?;
        self.guest.exec(spec).await
    }

    fn transparent(&self) -> &Transparent {
        self.guest.transparent()
    }

    async fn put_files(&self, base: &str, files: Vec<GuestFile>) -> Result<(), SandboxError> {
        let mut process = self.agent(&["put", base], Stdin::Pipe).await?;
        let mut stdin = process.stdin.take().expect("asked for a pipe");
        let send = async move {
            for file in files {
                let mut record = Vec::new();
                write_record(&mut record, &file.path, &file.bytes)?;
                stdin.write_all(&record).await?;
            }
            let mut end = Vec::new();
            write_end(&mut end)?;
            stdin.write_all(&end).await?;
            stdin.shutdown().await
        };
        let work = async {
            // If the guest stops reading, its exit code tells why.
            let (_, ended) = tokio::join!(send, end_of("write", process));
            ended
        };
        timed("write files", PUT_TIMEOUT, work).await
    }

    async fn get_files(
        &self,
        base: &str,
        patterns: &[String],
        limits: FileLimits,
    ) -> Result<Vec<GuestFile>, SandboxError> {
        let mut arguments = vec!["get", base];
        arguments.extend(patterns.iter().map(String::as_str));
        let mut process = self.agent(&arguments, Stdin::Null).await?;
        let most = limits
            .bytes
            .saturating_add((limits.files as u64 + 1) * RECORD_OVERHEAD);
        let work = async {
            let stdout = std::mem::replace(&mut process.stdout, Box::pin(tokio::io::empty()));
            let mut bytes = Vec::new();
            let _ = stdout.take(most).read_to_end(&mut bytes).await;
            let full = bytes.len() as u64 == most;
            let bounds = Bounds {
                files: limits.files,
                bytes: limits.bytes,
            };
            match read_all(&mut bytes.as_slice(), bounds) {
                Ok(records) => Ok(records
                    .into_iter()
                    .map(|record| GuestFile {
                        path: record.path,
                        bytes: record.bytes,
                    })
                    .collect()),
                Err(FilesError::TooLarge { files, bytes }) => {
                    Err(SandboxError::TooLarge { files, bytes })
                }
                Err(_) if full => Err(SandboxError::TooLarge {
                    files: limits.files,
                    bytes: limits.bytes,
                }),
                Err(error) => {
                    end_of("read", process).await?;
                    Err(SandboxError::Files {
                        action: "read",
                        output: error.to_string(),
                    })
                }
            }
        };
        timed("read files", limits.timeout, work).await
    }

    async fn put_platform_file(&self, name: &str, bytes: &[u8]) -> Result<(), SandboxError> {
        let plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if !plain || name == "agent" {
            return Err(SandboxError::Spec {
                field: "platform file",
                reason: "not a plain name",
            });
        }
        let (directory, name) = (self.layout.on_scratch("vm0"), name.to_owned());
        let bytes = bytes.to_vec();
        blocking(move || {
            let path = directory.join(&name);
            write_platform_file(&directory, &path, &bytes).map_err(SandboxError::io("write", &path))
        })
        .await
    }

    async fn accept(&self) -> Option<ByteStream> {
        self.guest.accept().await
    }

    async fn stats(&self) -> Result<Stats, SandboxError> {
        let used = disk_used(&self.layout)?;
        let disk_bytes = used.saturating_sub(self.disk_at_start);
        Ok(Stats {
            disk_bytes,
            ..self.cgroup.stats()
        })
    }

    async fn kill_all(&self) -> Result<(), SandboxError> {
        self.guest.kill_all().await
    }

    async fn stop(self: Box<Self>) -> Result<Box<dyn Stopped>, SandboxError> {
        let Self {
            layout,
            guest,
            mut runtime,
            ..
        } = *self;
        let _ = runtime.start_kill();
        let ended = layout.clone();
        blocking(move || process::end_contained(&ended)).await?;
        drop(guest);
        let _ = runtime.wait().await;
        // The runtime may have started something between the two.
        let ended = layout.clone();
        blocking(move || process::end_contained(&ended)).await?;
        Ok(Box::new(OciStopped::new(layout)))
    }
}

impl OciSandbox {
    async fn agent(&self, arguments: &[&str], stdin: Stdin) -> Result<Process, SandboxError> {
        let argv = [AGENT_PATH]
            .iter()
            .chain(arguments)
            .map(|&text| text.to_owned())
            .collect();
        let spec = ExecSpec {
            argv,
            env: Default::default(),
            cwd: "/".to_owned(),
            stdin,
            terminal: None,
        };
        self.guest.exec(spec).await
    }
}

fn check(spec: &ExecSpec) -> Result<(), SandboxError> {
    if spec.argv.is_empty() {
        return Err(SandboxError::Spec {
            field: "program",
            reason: "there is none",
        });
    }
    if !spec.cwd.starts_with('/') {
        return Err(SandboxError::Spec {
            field: "working directory",
            reason: "not absolute",
        });
    }
    Ok(())
}

/// Waits for the end of a file transfer.
async fn end_of(action: &'static str, process: Process) -> Result<(), SandboxError> {
    let mut text = Vec::new();
    let _ = process
        .stderr
        .take(MAX_ERROR_TEXT)
        .read_to_end(&mut text)
        .await;
    let exit = process.control.wait().await?;
    if exit.code == 0 {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&text).trim().to_owned();
    Err(SandboxError::Files { action, output })
}

async fn timed<T>(
    action: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, SandboxError>>,
) -> Result<T, SandboxError> {
    let seconds = limit.as_secs();
    let result = tokio::time::timeout(limit, work).await;
    result.unwrap_or(Err(SandboxError::TimedOut { action, seconds }))
}

fn write_platform_file(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = directory.join(".partial");
    fs::write(&partial, bytes)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o444))?;
    fs::rename(&partial, path)
}

/// Bytes in use on the scratch disk.
pub(crate) fn disk_used(layout: &Layout) -> Result<u64, SandboxError> {
    let path = layout.scratch();
    let stat = rustix::fs::statvfs(&path)
        .map_err(|error| SandboxError::io("measure", &path)(error.into()))?;
    Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
}
