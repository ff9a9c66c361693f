//! The runtimes: their names, options and how they are started.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{FcntlArg, fcntl};
use tokio::process::{Child, Command};

use super::layout::Layout;
use crate::error::SandboxError;

const OUTPUT_TAIL: usize = 2000;
/// Room in each pipe of the channel, so that its two ends take turns less often.
const CHANNEL_BYTES: i32 = 1 << 20;

/// An OCI runtime that we know how to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// gVisor: a user-space kernel.
    Runsc,
    /// Namespaces and seccomp.
    Runc,
}

impl Runtime {
    /// The kind on the wire.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Runsc => "gvisor",
            Self::Runc => "runc",
        }
    }

    /// The program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Runsc => "runsc",
            Self::Runc => "runc",
        }
    }

    /// What makes it work where it does not.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Runsc => "run `make setup`, or install runsc of 2024 or later",
            Self::Runc => "run `make setup`, or install runc 1.1 or later",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Runsc => &["--platform=systrap", "--network=none", "--overlay2=none"],
            Self::Runc => &[],
        }
    }

    /// `runc` collects garbage while it starts a container and hardly makes any afterwards; `runsc`
    /// is a kernel and needs its own pace.
    fn environment(self) -> Option<(&'static str, &'static str)> {
        (self == Self::Runc).then_some(("GOGC", "400"))
    }

    /// Where the program is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
            .map(|directory| directory.join(self.program()))
            .find(|program| program.is_file())
    }

    /// Starts the container; its standard input and output are the channel.
    pub(crate) fn spawn(self, program: &Path, layout: &Layout) -> Result<Child, SandboxError> {
        let log = layout.runtime_log();
        let errors = File::create(&log).map_err(SandboxError::io("create", &log))?;
        let child = Command::new(program)
            .arg("--root")
            .arg(layout.runtime_root())
            .args(self.options())
            .args(["run", "--bundle"])
            .arg(layout.bundle())
            .arg(layout.container())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .envs(self.environment())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(SandboxError::io("run", program))?;
        let pipes = [
            child.stdin.as_ref().map(AsFd::as_fd),
            child.stdout.as_ref().map(AsFd::as_fd),
        ];
        for pipe in pipes.into_iter().flatten() {
            // The kernel may have less for us; then it is only slower.
            let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(CHANNEL_BYTES));
        }
        Ok(child)
    }

    /// The error that the runtime's output explains.
    pub(crate) fn failure(self, layout: &Layout) -> SandboxError {
        let text = fs::read(layout.runtime_log()).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(OUTPUT_TAIL)..];
        let output = String::from_utf8_lossy(tail).trim().replace('\n', " | ");
        SandboxError::Runtime {
            runtime: self.program(),
            output,
        }
    }
}
