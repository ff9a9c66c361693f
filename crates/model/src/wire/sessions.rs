//! Sessions and checkpoints (API 10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, AgentVersionId, CheckpointId, RunId, SessionId, VersionId};
use crate::time::Timestamp;

/// A conversation that goes on from run to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its agent, which may be deleted by now.
    pub agent_id: AgentId,
    /// Name of its agent.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$")]
    pub agent_name: String,
    /// Artifact of the last completed run.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
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

/// The immutable end state of one completed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checkpoint {
    /// Its id.
    pub id: CheckpointId,
    /// The run that left it.
    pub run_id: RunId,
    /// The session that the run belongs to.
    pub session_id: SessionId,
    /// Its agent, which may be deleted by now.
    pub agent_id: AgentId,
    /// Name of its agent.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$")]
    pub agent_name: String,
    /// The pinned version.
    pub agent_version: AgentVersionId,
    /// The `variables` in effect.
    pub variables: BTreeMap<String, String>,
    /// Sorted names of the required secrets; never values.
    pub secret_names: Vec<String>,
    /// Name of the saved workspace.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub artifact_name: Option<String>,
    /// Version of the saved workspace.
    pub artifact_version: Option<VersionId>,
    /// The mounted volumes by key, `{}` if none.
    pub volumes: BTreeMap<String, VersionId>,
    /// When it was made.
    pub created_at: Timestamp,
}
