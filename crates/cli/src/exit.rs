//! Exit codes (CLI 1.5).

use std::process::ExitCode;

use vm0_model::run::RunStatus;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// A failure that has no code of its own.
    Failed,
    /// Wrong use of the command line.
    Usage,
    /// No token, or one that the server refuses.
    NotAuthenticated,
    /// What was named does not exist.
    NotFound,
    /// The run failed.
    RunFailed,
    /// The run timed out.
    RunTimedOut,
    /// The run was cancelled.
    RunCancelled,
    /// The server cannot be reached.
    Unreachable,
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// As a command in a sandbox ended, or this one by a signal.
    Command(u8),
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotAuthenticated => 3,
            Self::NotFound => 4,
            Self::RunFailed => 5,
            Self::RunTimedOut => 6,
            Self::RunCancelled => 7,
            Self::Unreachable => 8,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }

    /// The code with which a command of ours ended.
    pub(crate) fn of_code(code: Option<i32>) -> Self {
        let all = [
            Self::Done,
            Self::Failed,
            Self::Usage,
            Self::NotAuthenticated,
            Self::NotFound,
            Self::RunFailed,
            Self::RunTimedOut,
            Self::RunCancelled,
            Self::Unreachable,
            Self::Interrupted,
        ];
        let found = all
            .into_iter()
            .find(|exit| Some(i32::from(exit.code())) == code);
        found.unwrap_or(Self::Failed)
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
