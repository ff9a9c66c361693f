//! Runs and their events (API 4 and 5).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{LogKind, LogLevel};
use crate::id::{AgentId, AgentVersionId, CheckpointId, RunId, SessionId, VersionId};
use crate::run::RunStatus;
use crate::time::Timestamp;

/// A run as an item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its agent, which may have been deleted since.
    pub agent_id: AgentId,
    /// Name of its agent.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$")]
    pub agent_name: String,
    /// Its state.
    pub status: RunStatus,
    /// What the agent was asked.
    #[schema(min_length = 1)]
    pub prompt: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became `running`.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal status.
    pub completed_at: Option<Timestamp>,
}

/// A run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunDetail {
    /// The list item.
    #[serde(flatten)]
    pub run: Run,
    /// Why it failed or timed out.
    pub error: Option<String>,
    /// `completed_at − started_at`; null unless both are set.
    #[schema(minimum = 0)]
    pub execution_time_ms: Option<i64>,
    /// Its checkpoint, once `completed`.
    pub checkpoint_id: Option<CheckpointId>,
    /// The `session_id` of the request, else set once `completed`.
    pub session_id: Option<SessionId>,
    /// Name of its artifact, given or inherited.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub artifact_name: Option<String>,
    /// While pending or running the reference given or inherited, null if there is neither; once
    /// completed the id of the saved workspace; otherwise null.
    pub artifact_version: Option<String>,
    /// While pending the version references given or inherited, by key; from the start on every
    /// mounted key with its 64-hex version. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub volumes: Option<BTreeMap<String, String>>,
    /// The version kept from a run that did not complete; may be set after `completed_at`.
    pub salvaged_artifact_version: Option<VersionId>,
    /// The agent version used.
    pub agent_version: AgentVersionId,
    /// Its deadline, counted from `started_at`.
    #[schema(minimum = 1, maximum = 86400)]
    pub timeout_seconds: u32,
    /// The agent's final result text.
    pub output: Option<String>,
    /// Exit code of the agent process, 128 + N after signal N; null if it never started or the
    /// platform stopped it.
    #[schema(minimum = 0, maximum = 255)]
    pub exit_code: Option<i32>,
    /// Kind of sandbox, such as `gvisor` or `runc`; null before the start.
    pub sandbox: Option<String>,
    /// What the model consumed, as the agent reported it.
    pub usage: Option<Usage>,
    /// How long it waited.
    pub timings: Timings,
}

/// What the model consumed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens read, cached ones too.
    pub input_tokens: Option<u64>,
    /// Tokens written, reasoning too.
    pub output_tokens: Option<u64>,
    /// Cost in US dollars.
    #[schema(minimum = 0)]
    pub cost_usd: Option<f64>,
}

/// How long a run waited, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timings {
    /// `started_at − created_at`.
    #[schema(minimum = 0)]
    pub queue_ms: Option<i64>,
    /// From `started_at` to the start of the agent process.
    #[schema(minimum = 0)]
    pub sandbox_ready_ms: Option<i64>,
}

/// The body of `POST /v1/runs`.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunCreate {
    /// What the agent is asked; at most 1 MiB of UTF-8.
    #[schema(min_length = 1)]
    pub prompt: String,
    /// Resume this checkpoint. Of the selectors `checkpoint_id`, `session_id`, `agent_id`, `agent`
    /// the first in this order that is present and not empty decides; the others are ignored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoint_id: Option<String>,
    /// Continue this session, from its latest conversation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// Start afresh: the agent's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<String>,
    /// Start afresh: the agent's name, in any case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// Version of the agent: `latest`, a 64-hex version id, or a prefix of at least 8 hex digits
    /// that names one version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8,64})$")]
    pub agent_version: Option<String>,
    /// Values of `vars.NAME` in the agent's templates. Given, they replace an inherited map as a
    /// whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variables: Option<BTreeMap<String, String>>,
    /// Values of `secrets.NAME` in the agent's templates; never inherited. An empty one counts as
    /// not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secrets: Option<BTreeMap<String, String>>,
    /// Name of the artifact that is the working directory; made if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub artifact_name: Option<String>,
    /// Version of the artifact: `latest`, a 64-hex version id, or a prefix of at least 8 hex digits
    /// that names one version. Needs an artifact name, given or inherited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8,64})$")]
    pub artifact_version: Option<String>,
    /// Version references by key of the agent's `volumes`, not by name of a volume; undeclared keys
    /// have no effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volumes: Option<BTreeMap<String, String>>,
    /// Deadline in seconds; by default that of the agent version's configuration, else 7200.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 86400)]
    pub timeout_seconds: Option<u32>,
}

impl fmt::Debug for RunCreate {
    /// Without the values of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCreate")
            .field("checkpoint_id", &self.checkpoint_id)
            .field("session_id", &self.session_id)
            .field("agent_id", &self.agent_id)
            .field("agent", &self.agent)
            .field("agent_version", &self.agent_version)
            .finish_non_exhaustive()
    }
}

/// `data` of the event `output`, and an item of the JSON form.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Output {
    /// Position in its run, from 1 without gaps.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// The agent event's own type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole agent event, with `sequenceNumber`.
    #[schema(value_type = Object)]
    pub data: Box<serde_json::value::RawValue>,
    /// When the runner read it.
    pub timestamp: Timestamp,
}

/// `data` of the event `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StatusEvent {
    /// The present state.
    pub status: RunStatus,
    /// The run.
    pub run_id: RunId,
}

/// `data` of the event `complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CompleteEvent {
    /// The terminal state.
    pub status: RunStatus,
    /// The agent's final text.
    pub output: Option<String>,
    /// Why it failed or timed out.
    pub error: Option<String>,
}

/// `data` of the event `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeartbeatEvent {
    /// The server's time.
    pub timestamp: Timestamp,
}

/// An entry of the log of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When it happened.
    pub timestamp: Timestamp,
    /// Which log.
    #[serde(rename = "type")]
    pub kind: LogKind,
    /// Severity.
    pub level: LogLevel,
    /// Text.
    pub message: String,
    /// What the text says, for programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Object, nullable = false)]
    pub metadata: Option<serde_json::Value>,
}
