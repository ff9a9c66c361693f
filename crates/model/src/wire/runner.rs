//! The API between a runner and its server. Paths begin with `/api/runner/v1`; every call carries
//! a runner token, and every call about a run its lease's epoch.
//!
//! | Call | Body → answer |
//! |---|---|
//! | `POST /claim` | [`ClaimRequest`] → [`Claim`], or 204 after [`CLAIM_WAIT`](crate::limits::CLAIM_WAIT) without a run |
//! | `POST /runs/:id/renew` | [`RenewRequest`] → [`RenewAnswer`] |
//! | `POST /runs/:id/watch` | [`WatchRequest`] → [`WatchAnswer`] as soon as the run is terminal or its network policy changes or other commands wait than the runner knows of, or after `CLAIM_WAIT` |
//! | `GET /runs/:id/execs/:exec_id?epoch=` | WebSocket of a command ([`crate::wire::exec`]), in which the runner answers |
//! | `POST /runs/:id/started` | [`StartedReport`] → 204 |
//! | `POST /runs/:id/events` | [`EventBatch`] → [`BatchAnswer`] |
//! | `POST /runs/:id/logs` | [`LogBatch`] → [`BatchAnswer`] |
//! | `POST /runs/:id/metrics` | [`MetricBatch`] → [`BatchAnswer`] |
//! | `POST /runs/:id/finish` | [`FinishReport`] → [`FinishAnswer`] |
//! | `POST /runs/:id/salvage` | [`SalvageReport`] → 204 |
//! | `GET /manifests/:manifest_id` | encoded manifest |
//! | `GET /packs/:pack_id`, with `Range` | bytes of a pack |
//! | `GET /histories/:history_id` | encoded history |
//! | `PUT /runs/:id/packs/:pack_id`, `/manifests/:manifest_id`, `/histories/:history_id`, `?epoch=` | bytes → 204, durable |
//!
//! A write with a stale epoch is answered 409 with the code `stale_epoch`: the run is no longer
//! this runner's, and the runner drops it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{LogEntry, MetricSample, NewEvent};
use crate::id::{
    AgentVersionId, ExecId, HistoryId, ManifestId, RunId, SessionId, StorageId, VersionId,
};
use crate::lease::{Epoch, Lease};
use crate::network::NetworkPolicy;
use crate::run::RunStatus;
use crate::time::Timestamp;
use crate::wire::runs::Usage;

/// The code of the answer to a write with a stale epoch.
pub const STALE_EPOCH: &str = "stale_epoch";

/// A runner asks for work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Name of the runner.
    pub runner: String,
    /// Kind of sandbox it makes.
    pub sandbox: String,
}

/// A run to execute, and the right to do so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The right.
    pub lease: Lease,
    /// The run.
    pub spec: RunSpec,
}

/// Everything that a runner needs to know of a run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The run.
    pub run_id: RunId,
    /// Name of the agent.
    pub agent_name: String,
    /// Version of the agent.
    pub agent_version: AgentVersionId,
    /// The stored configuration of that version.
    pub config: serde_json::Value,
    /// `environment` with its templates expanded; brokered secrets are their placeholders.
    pub environment: BTreeMap<String, String>,
    /// Every secret of the run, by name: masked in all that comes out.
    pub secrets: BTreeMap<String, String>,
    /// What stands for each brokered secret inside the sandbox, by name.
    #[serde(default)]
    pub placeholders: BTreeMap<String, String>,
    /// What the agent is asked.
    pub prompt: String,
    /// The deadline, counted from `started_at`.
    pub timeout_seconds: u32,
    /// When the run became `running`.
    pub started_at: Timestamp,
    /// The working directory, if it is kept.
    pub artifact: Option<ArtifactMount>,
    /// Volumes to mount, in the order of the configuration.
    pub volumes: Vec<VolumeMount>,
    /// The version of the volume `agent-bundles` that holds the agent's instructions and skills.
    #[serde(default)]
    pub bundle: Option<MountedVersion>,
    /// The session it continues.
    pub session_id: Option<SessionId>,
    /// The conversation to resume.
    pub conversation: Option<Conversation>,
    /// What takes the place of `network` of the configuration, if it was changed while the run
    /// was pending. A sandbox of such a run has a proxy, whatever the mode.
    #[serde(default)]
    pub network: Option<NetworkChange>,
}

/// A network policy that took the place of that of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkChange {
    /// Number of the change, from 1 for each run.
    pub revision: u64,
    /// What is in force since.
    pub policy: NetworkPolicy,
}

impl fmt::Debug for RunSpec {
    /// Without what may hold the values of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSpec")
            .field("run_id", &self.run_id)
            .field("agent_name", &self.agent_name)
            .field("agent_version", &self.agent_version)
            .finish_non_exhaustive()
    }
}

/// The artifact of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactMount {
    /// The storage.
    pub storage_id: StorageId,
    /// Its name.
    pub name: String,
    /// The version to start from; none starts empty.
    pub version: Option<MountedVersion>,
}

/// A volume of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Its key in the configuration.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Where it appears.
    pub path: String,
    /// What appears there.
    pub version: MountedVersion,
}

/// A version and where its manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountedVersion {
    /// The version.
    pub version_id: VersionId,
    /// Its manifest.
    pub manifest_id: ManifestId,
}

/// What a framework needs to go on with a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The framework that made it.
    pub framework: String,
    /// The framework's own session id.
    pub agent_session_id: String,
    /// Its saved files, if any.
    pub history: Option<HistoryId>,
    /// The working directory in which it was made.
    pub working_dir: String,
    /// Tokens of the whole thread so far, for frameworks that count so.
    pub token_total: Option<TokenTotal>,
}

/// Tokens of a whole thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenTotal {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// A runner is still there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The lease's number.
    pub epoch: Epoch,
}

/// Whether the run still is to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// The new end of the lease.
    pub expires_at: Timestamp,
    /// The state of the run: once it is terminal, the runner stops the agent.
    pub status: RunStatus,
}

/// A runner waits for what happens to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The lease's number.
    pub epoch: Epoch,
    /// Commands that wait for the runner, as far as it knows.
    #[serde(default)]
    pub execs: Vec<ExecId>,
    /// The last change of the network policy that the runner knows of, 0 for that of the
    /// configuration; `None` if it does not follow them.
    #[serde(default)]
    pub network_revision: Option<u64>,
}

/// What has happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchAnswer {
    /// The state of the run: once it is terminal, the runner stops the agent.
    pub status: RunStatus,
    /// Commands that wait for the runner to connect to them.
    #[serde(default)]
    pub execs: Vec<ExecId>,
    /// The last change of the network policy, if the runner does not know of it.
    #[serde(default)]
    pub network: Option<NetworkChange>,
}

/// The agent process has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedReport {
    /// The lease's number.
    pub epoch: Epoch,
    /// Kind of sandbox.
    pub sandbox: String,
    /// From `started_at` to the start of the agent process, in milliseconds.
    pub sandbox_ready_ms: i64,
}

/// Events in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventBatch {
    /// The lease's number.
    pub epoch: Epoch,
    /// Number of the run's events before this batch: a repeated batch is recognised by it.
    pub offset: u64,
    /// The events.
    pub events: Vec<NewEvent>,
}

/// Log entries in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// The lease's number.
    pub epoch: Epoch,
    /// Number of the run's log entries before this batch.
    pub offset: u64,
    /// The entries.
    pub entries: Vec<LogEntry>,
}

/// Metric samples in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricBatch {
    /// The lease's number.
    pub epoch: Epoch,
    /// Number of the run's samples before this batch.
    pub offset: u64,
    /// The samples.
    pub samples: Vec<MetricSample>,
}

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// The offset that the next batch must have.
    pub next_offset: u64,
    /// The state of the run: once it is terminal, nothing more is recorded.
    pub status: RunStatus,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishReport {
    /// The lease's number.
    pub epoch: Epoch,
    /// `completed`, `failed` or `timeout`.
    pub status: RunStatus,
    /// Why it did not complete.
    pub error: Option<String>,
    /// The agent's own exit code.
    pub exit_code: Option<i32>,
    /// The agent's final text.
    pub output: Option<String>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// The workspace, if the run has an artifact and it was saved.
    pub artifact: Option<SavedArtifact>,
    /// The conversation, of a completed run.
    pub conversation: Option<Conversation>,
}

/// A saved workspace. All its objects are durable on the server already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedArtifact {
    /// Its manifest; the server computes the version id from it.
    pub manifest_id: ManifestId,
}

/// What became of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishAnswer {
    /// The state of the run, which differs from the report's if it was cancelled or lost before.
    pub status: RunStatus,
}

/// What is known of a run that did not complete only after its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SalvageReport {
    /// The lease's number.
    pub epoch: Epoch,
    /// The agent's own exit code, if it is known only now.
    pub exit_code: Option<i32>,
    /// What the model consumed, if it is known.
    pub usage: Option<Usage>,
    /// The workspace, if it was changed.
    pub artifact: Option<SavedArtifact>,
}
