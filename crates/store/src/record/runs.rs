//! Runs.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vm0_model::id::IdError;
use vm0_model::wire::runs::Usage;
use vm0_model::{
    AgentId, AgentVersionId, CheckpointId, Epoch, RunId, RunStatus, SessionId, StorageId,
    Timestamp, UserId, VersionId,
};

use super::sessions::NewCheckpoint;
use super::storages::SavedVersion;

/// A reference to a version of a storage that a run uses; stored as `latest` or the version's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionWanted {
    /// The head at the start of the run.
    Latest,
    /// Exactly this one.
    Exact(VersionId),
}

impl FromStr for VersionWanted {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "latest" => Ok(Self::Latest),
            id => id.parse().map(Self::Exact),
        }
    }
}

impl TryFrom<String> for VersionWanted {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<VersionWanted> for String {
    fn from(wanted: VersionWanted) -> Self {
        match wanted {
            VersionWanted::Latest => "latest".to_owned(),
            VersionWanted::Exact(id) => id.to_string(),
        }
    }
}

/// A volume that a run mounts; stored as JSON with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunVolume {
    /// Its key in the configuration.
    pub key: String,
    /// Where it appears.
    pub path: String,
    /// Name of the storage.
    pub name: String,
    /// The storage, as found when the run was created.
    pub storage_id: StorageId,
    /// Which version.
    pub wanted: VersionWanted,
    /// The reference that a continued run inherits, as it was given; `None` if it comes from the
    /// configuration.
    pub given: Option<String>,
    /// Left out if it is missing.
    pub optional: bool,
}

/// The artifact of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArtifact {
    /// Its name; it is created with the run, and again when it is gone.
    pub name: String,
    /// Which version.
    pub wanted: VersionWanted,
    /// The reference as the run shows it while it is pending; `None` if none was given or
    /// inherited.
    pub shown: Option<String>,
}

/// A run to create. The app has resolved every reference; the store checks again, in one
/// transaction, what may have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent, which must still exist.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The agent version in effect.
    pub agent_version: AgentVersionId,
    /// What the agent is asked.
    pub prompt: String,
    /// Its deadline.
    pub timeout_seconds: u32,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// Sorted names of required secrets.
    pub secret_names: Vec<String>,
    /// Environment and secret values, sealed by the server; deleted when the run is claimed.
    pub sealed: Vec<u8>,
    /// Its artifact, if any, and the id for it if it must be made.
    pub artifact: Option<(RunArtifact, StorageId)>,
    /// Its volumes.
    pub volumes: Vec<RunVolume>,
    /// The session it continues; it must have no pending or running run.
    pub session_id: Option<SessionId>,
    /// The checkpoint whose conversation it resumes.
    pub resumed_checkpoint: Option<CheckpointId>,
    /// Idempotency key and digest of the canonical body.
    pub idempotency: Option<(String, String)>,
    /// Pending and running runs that the user may have; 0 means any number.
    pub concurrency_limit: u32,
    /// The present time.
    pub now: Timestamp,
}

/// What became of a [`NewRun`].
#[derive(Debug, Clone, PartialEq)]
pub enum RunCreateOutcome {
    /// It exists now.
    Created(RunRecord),
    /// The idempotency key and body are those of this run.
    Replayed(RunRecord),
    /// The idempotency key was used with another body.
    KeyReused,
    /// The user has as many runs as allowed.
    LimitReached,
    /// The session has a pending or running run.
    SessionBusy,
    /// The agent was deleted meanwhile.
    AgentGone,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The agent version used.
    pub agent_version: AgentVersionId,
    /// Its state.
    pub status: RunStatus,
    /// What the agent was asked.
    pub prompt: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became `running`.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub completed_at: Option<Timestamp>,
    /// Why it failed or timed out.
    pub error: Option<String>,
    /// Its deadline.
    pub timeout_seconds: u32,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// The checkpoint it left.
    pub checkpoint_id: Option<CheckpointId>,
    /// The session given, else the one it made.
    pub session_id: Option<SessionId>,
    /// The checkpoint it resumed.
    pub resumed_checkpoint: Option<CheckpointId>,
    /// Its artifact.
    pub artifact: Option<RunArtifact>,
    /// The version of the artifact it started from, from the claim on.
    pub artifact_base: Option<VersionId>,
    /// The version it saved.
    pub artifact_saved: Option<VersionId>,
    /// The version kept although it did not complete.
    pub artifact_salvaged: Option<VersionId>,
    /// Its volumes as created.
    pub volumes: Vec<RunVolume>,
    /// Exact versions by key, from the claim on.
    pub volume_versions: Option<BTreeMap<String, VersionId>>,
    /// The agent's final text.
    pub output: Option<String>,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// Kind of sandbox.
    pub sandbox: Option<String>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// From `started_at` to the start of the agent process.
    pub sandbox_ready_ms: Option<i64>,
    /// Events recorded.
    pub event_count: u64,
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Only this state.
    pub status: Option<RunStatus>,
    /// Only this agent.
    pub agent_id: Option<AgentId>,
    /// Only runs created at this time or later.
    pub since: Option<Timestamp>,
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for a request and taken apart at once"
)]
pub enum RunCancelOutcome {
    /// It is cancelled now.
    Cancelled(RunRecord),
    /// It had ended before.
    Terminal(RunStatus),
    /// No such run of this user.
    NotFound,
}

/// What is known of a run that did not complete only after its end. Its objects are durable already.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSalvage {
    /// The run.
    pub run_id: RunId,
    /// The lease's number.
    pub epoch: Epoch,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// The saved workspace.
    pub artifact: Option<SavedVersion>,
    /// The present time.
    pub now: Timestamp,
}

/// The end of a run. Its objects are durable already.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFinish {
    /// The run.
    pub run_id: RunId,
    /// The lease's number.
    pub epoch: Epoch,
    /// `Completed`, `Failed` or `Timeout`.
    pub status: RunStatus,
    /// Why it did not complete.
    pub error: Option<String>,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// The agent's final text.
    pub output: Option<String>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// The saved workspace: the head if completed, else salvaged.
    pub artifact: Option<SavedVersion>,
    /// Made if it completed.
    pub checkpoint: Option<NewCheckpoint>,
    /// The present time.
    pub now: Timestamp,
}
