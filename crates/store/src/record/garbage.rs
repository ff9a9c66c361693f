//! What a garbage collection asks.

use std::collections::HashSet;

use vm0_model::id::HistoryId;
use vm0_model::{ManifestId, Timestamp};

/// All that rows refer to outside of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Of the versions of storages.
    pub manifests: HashSet<ManifestId>,
    /// Of checkpoints.
    pub histories: HashSet<HistoryId>,
    /// Upload sessions, by their names among the objects.
    pub uploads: HashSet<String>,
    /// When the oldest of the running runs started.
    pub oldest_running: Option<Timestamp>,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much a run's telemetry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// Its events.
    pub events: Extent,
    /// Its log entries, without the events.
    pub logs: Extent,
    /// Its samples.
    pub metrics: Extent,
}
