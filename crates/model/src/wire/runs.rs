//! Runs and their events (API 4 and 5).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{LogKind, LogLevel};
use crate::id::{AgentId, AgentVersionId, CheckpointId, RunId, SessionId, VersionId};
use crate::run::RunStatus;
use crate::time::Timestamp;

/// A run as an item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its agent, which may be deleted by now.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
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
}

/// A run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// The list item.
    #[serde(flatten)]
    pub run: Run,
    /// Why it failed or timed out.
    pub error: Option<String>,
    /// `completed_at − started_at`.
    pub execution_time_ms: Option<i64>,
    /// Its checkpoint, once completed.
    pub checkpoint_id: Option<CheckpointId>,
    /// The session it continues, else its own once completed.
    pub session_id: Option<SessionId>,
    /// Name of its artifact.
    pub artifact_name: Option<String>,
    /// The reference while pending or running; the saved version once completed.
    pub artifact_version: Option<String>,
    /// Versions of the mounted volumes by key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volumes: Option<BTreeMap<String, String>>,
    /// The version kept from a run that did not complete.
    pub salvaged_artifact_version: Option<VersionId>,
    /// The agent version used.
    pub agent_version: AgentVersionId,
    /// Its deadline, counted from `started_at`.
    pub timeout_seconds: u32,
    /// The agent's final text.
    pub output: Option<String>,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// Kind of sandbox.
    pub sandbox: Option<String>,
    /// What the model consumed, as the agent reported it.
    pub usage: Option<Usage>,
    /// How long it waited.
    pub timings: Timings,
}

/// What the model consumed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones too.
    pub input_tokens: Option<u64>,
    /// Tokens written, reasoning too.
    pub output_tokens: Option<u64>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
}

/// How long a run waited, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// `started_at − created_at`.
    pub queue_ms: Option<i64>,
    /// From `started_at` to the start of the agent process.
    pub sandbox_ready_ms: Option<i64>,
}

/// The body of `POST /v1/runs`.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunCreate {
    /// What the agent is asked.
    pub prompt: String,
    /// Selector: resume this checkpoint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checkpoint_id: Option<String>,
    /// Selector: continue this session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// Selector: the agent's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<String>,
    /// Selector: the agent's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// Version reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_version: Option<String>,
    /// Values of `vars.NAME`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variables: Option<BTreeMap<String, String>>,
    /// Values of `secrets.NAME`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secrets: Option<BTreeMap<String, String>>,
    /// Name of the artifact.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_name: Option<String>,
    /// Version reference of the artifact.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_version: Option<String>,
    /// Version references of volumes by key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volumes: Option<BTreeMap<String, String>>,
    /// Deadline in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Position in its run, from 1 without gaps.
    pub sequence: u64,
    /// The agent event's own type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole agent event, with `sequenceNumber`.
    pub data: Box<serde_json::value::RawValue>,
    /// When the runner read it.
    pub timestamp: Timestamp,
}

/// `data` of the event `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusEvent {
    /// The present state.
    pub status: RunStatus,
    /// The run.
    pub run_id: RunId,
}

/// `data` of the event `complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteEvent {
    /// The terminal state.
    pub status: RunStatus,
    /// The agent's final text.
    pub output: Option<String>,
    /// Why it failed or timed out.
    pub error: Option<String>,
}

/// `data` of the event `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatEvent {
    /// The server's time.
    pub timestamp: Timestamp,
}

/// An entry of the log answer (API 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    pub metadata: Option<serde_json::Value>,
}
