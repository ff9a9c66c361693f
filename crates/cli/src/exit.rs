//! Exit codes (CLI 1.5).

use std::process::ExitCode;

use vm0_model::run::RunStatus;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// A failure that has no code of its own.
    Failed = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// No token, or one that the server refuses.
    NotAuthenticated = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// The run failed.
    RunFailed = 5,
    /// The run timed out.
    RunTimedOut = 6,
    /// The run was cancelled.
    RunCancelled = 7,
    /// The server cannot be reached.
    Unreachable = 8,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The code of a run's outcome; an active run has none of its own.
    pub(crate) const fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Completed | RunStatus::Pending | RunStatus::Running => Self::Done,
            RunStatus::Failed => Self::RunFailed,
            RunStatus::Timeout => Self::RunTimedOut,
            RunStatus::Cancelled => Self::RunCancelled,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
