//! Why something about a sandbox failed.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why something about a sandbox failed; fits after "failed to".
#[derive(Debug, Error)]
pub enum SandboxError {
    /// This host cannot run sandboxes of that kind.
    #[error("use sandbox {kind}: {reason}; {fix}")]
    Unavailable {
        /// The kind asked for.
        kind: &'static str,
        /// What is missing.
        reason: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// The specification contradicts the contract.
    #[error("accept the sandbox's {field}: {reason}")]
    Spec {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A system call on the host failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The runtime did not start the sandbox.
    #[error("start the sandbox with {runtime}: {output}")]
    Runtime {
        /// Program name.
        runtime: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// The guest said something unexpected.
    #[error("talk to the guest agent: {0}")]
    Channel(#[from] vm0_guest::FrameError),
    /// Something inside took too long.
    #[error("{action} within {seconds} s")]
    TimedOut {
        /// What was waited for, as a verb.
        action: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The sandbox has ended.
    #[error("use a sandbox that has ended")]
    Gone,
    /// Files exceed a limit.
    #[error("take more than {files} files or {bytes} bytes out of the sandbox")]
    TooLarge {
        /// Limit of files.
        files: usize,
        /// Limit of bytes.
        bytes: u64,
    },
    /// Files could not be written or read inside.
    #[error("{action} files in the sandbox: {output}")]
    Files {
        /// `write` or `read`.
        action: &'static str,
        /// What the guest says about it.
        output: String,
    },
}

impl SandboxError {
    /// A failed system call, for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
