//! Network policies of runs.

use vm0_model::{RunId, RunStatus, Timestamp, UserId};

/// A network policy that took the place of that of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNetwork {
    /// Number of the change, from 1 for each run.
    pub revision: u64,
    /// The policy as JSON.
    pub policy: String,
}

/// A change of the network policy of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNetworkPut {
    /// The owner of the run.
    pub user_id: UserId,
    /// The run.
    pub run_id: RunId,
    /// The policy as JSON.
    pub policy: String,
    /// Whether a run of this configuration has a network at all. One that has none gets it by a
    /// change while it is pending, and never later.
    pub has_network: bool,
    /// When.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunNetworkOutcome {
    /// It is stored.
    Changed(RunNetwork),
    /// The user has no such run.
    NotFound,
    /// The run has ended, so.
    Terminal(RunStatus),
    /// The run began without a network.
    NoNetwork,
}
