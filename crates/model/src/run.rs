//! The run state machine. Every change of a run's state is decided here.
//!
//! ```text
//!                 claim                     success
//!   ┌─────────┐ ───────────► ┌─────────┐ ───────────► completed
//!   │ pending │              │ running │ ───────────► failed      agent, sandbox or platform
//!   └─────────┘              └─────────┘ ───────────► timeout     deadline, or runner lost
//!        │                        │
//!        └────────── cancel ──────┴─────────────────► cancelled
//! ```
//!
//! The four states on the right are terminal and final. A `pending` run may also fail before an
//! agent process exists (a volume vanished, no runner can hold it): it passes through `running`,
//! because a runner had to take it to find out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Created, waiting for a runner without limit of time.
    Pending,
    /// Taken by a runner.
    Running,
    /// The agent succeeded and its checkpoint is stored.
    Completed,
    /// The agent or the platform failed.
    Failed,
    /// The deadline passed, or the runner was lost.
    Timeout,
    /// The caller cancelled it.
    Cancelled,
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunChange {
    /// A runner takes it.
    Claim,
    /// The agent succeeded and the checkpoint is stored.
    Complete,
    /// It failed.
    Fail,
    /// Its deadline passed or its runner was lost.
    TimeOut,
    /// The caller cancelled it.
    Cancel,
}

/// The change is not possible in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from} cannot {change:?}")]
pub struct RunStateError {
    /// The present state.
    pub from: RunStatus,
    /// The refused change.
    pub change: RunChange,
}

impl RunStatus {
    /// All states, in the order of the API.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// The state on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the state is final.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// The state after `change`.
    ///
    /// # Errors
    /// `RunStateError` if the diagram has no such arrow.
    pub const fn after(self, change: RunChange) -> Result<Self, RunStateError> {
        match (self, change) {
            (Self::Pending, RunChange::Claim) => Ok(Self::Running),
            (Self::Running, RunChange::Complete) => Ok(Self::Completed),
            (Self::Running, RunChange::Fail) => Ok(Self::Failed),
            (Self::Running, RunChange::TimeOut) => Ok(Self::Timeout),
            (Self::Pending | Self::Running, RunChange::Cancel) => Ok(Self::Cancelled),
            (from, change) => Err(RunStateError { from, change }),
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a run state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of pending, running, completed, failed, timeout, cancelled")]
pub struct RunStatusError;

impl FromStr for RunStatus {
    type Err = RunStatusError;

    fn from_str(text: &str) -> Result<Self, RunStatusError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(RunStatusError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = RunChange> {
        prop_oneof![
            Just(RunChange::Claim),
            Just(RunChange::Complete),
            Just(RunChange::Fail),
            Just(RunChange::TimeOut),
            Just(RunChange::Cancel),
        ]
    }

    proptest! {
        #[test]
        fn a_terminal_state_is_never_left(changes in prop::collection::vec(change(), 0..20)) {
            let mut status = RunStatus::Pending;
            for change in changes {
                let after = status.after(change);
                if status.is_terminal() {
                    prop_assert!(after.is_err());
                }
                status = after.unwrap_or(status);
            }
        }

        #[test]
        fn only_a_claimed_run_completes(changes in prop::collection::vec(change(), 0..20)) {
            let mut status = RunStatus::Pending;
            let mut claimed = false;
            for change in changes {
                if let Ok(after) = status.after(change) {
                    claimed |= change == RunChange::Claim;
                    prop_assert!(after != RunStatus::Completed || claimed);
                    status = after;
                }
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for status in RunStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("Pending".parse::<RunStatus>().is_err());
    }
}
