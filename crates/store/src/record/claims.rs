//! What a lease gives and allows, and what is active.

use vm0_model::wire::runner::Conversation;
use vm0_model::{Lease, ManifestId, RunStatus, StorageId, VersionId};

use super::networks::RunNetwork;
use super::runs::{RunRecord, RunVolume};

/// A claimed run with everything exact. The claim has made the artifact again if it was gone.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The run, now running.
    pub run: RunRecord,
    /// The right to execute it.
    pub lease: Lease,
    /// The stored configuration of its agent version.
    pub config: String,
    /// Environment and secret values, deleted from the store with this claim.
    pub sealed: Vec<u8>,
    /// The artifact's storage and the version to start from.
    pub artifact: Option<(StorageId, Option<(VersionId, ManifestId)>)>,
    /// Volumes to mount, or what is missing.
    pub volumes: Vec<ClaimedVolume>,
    /// The conversation to resume.
    pub conversation: Option<Conversation>,
    /// What took the place of the configuration's network policy.
    pub network: Option<RunNetwork>,
}

/// A volume of a claimed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedVolume {
    /// As created.
    pub volume: RunVolume,
    /// The exact version; `None` if there is none, which is a fault unless it is optional.
    pub version: Option<(VersionId, ManifestId)>,
}

/// A write under a lease was refused or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased<T> {
    /// Done.
    Done(T),
    /// The epoch is not the run's: nothing was written.
    Stale,
}

/// How far a run's events, logs or samples are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the next batch.
    pub next_offset: u64,
    /// How many of the batch were not recorded before.
    pub added: u64,
    /// State of the run. Nothing is appended to events of a terminal run.
    pub status: RunStatus,
}

/// Runs that have not ended, of all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRuns {
    /// Those that wait for a runner.
    pub pending: u64,
    /// Those that a runner has.
    pub running: u64,
}
