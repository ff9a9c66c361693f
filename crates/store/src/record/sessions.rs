//! Sessions and checkpoints.

use std::collections::BTreeMap;

use vm0_model::id::HistoryId;
use vm0_model::wire::runner::{Conversation, TokenTotal};
use vm0_model::{
    AgentId, AgentVersionId, CheckpointId, RunId, SessionId, Timestamp, UserId, VersionId,
};

/// A checkpoint to make with a completed run; session, agent and volumes are those of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckpoint {
    /// Its id.
    pub id: CheckpointId,
    /// Id of the session, if one is made.
    pub new_session_id: SessionId,
    /// The conversation.
    pub conversation: Conversation,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Its id.
    pub id: CheckpointId,
    /// Its owner.
    pub user_id: UserId,
    /// The run that left it.
    pub run_id: RunId,
    /// The session that the run belongs to.
    pub session_id: SessionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The pinned version.
    pub agent_version: AgentVersionId,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// Sorted names of required secrets.
    pub secret_names: Vec<String>,
    /// Name of the saved workspace.
    pub artifact_name: Option<String>,
    /// Version of the saved workspace.
    pub artifact_version: Option<VersionId>,
    /// The mounted volumes.
    pub volume_versions: BTreeMap<String, VersionId>,
    /// References given to (or inherited by) the run, which a continued run inherits.
    pub volumes_given: BTreeMap<String, String>,
    /// The framework that made the conversation.
    pub framework: String,
    /// The framework's session id.
    pub agent_session_id: String,
    /// Its saved files.
    pub history: Option<HistoryId>,
    /// The working directory in which it was made.
    pub working_dir: String,
    /// Tokens of the whole thread.
    pub token_total: Option<TokenTotal>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// Artifact of the last completed run.
    pub artifact_name: Option<String>,
    /// The last completed run.
    pub last_run_id: RunId,
    /// Its checkpoint.
    pub last_checkpoint_id: CheckpointId,
    /// The pending or running run on it.
    pub active_run_id: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a run on it completed last.
    pub updated_at: Timestamp,
}

/// Which sessions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// Only this agent, which may be deleted.
    pub agent_id: Option<AgentId>,
}
