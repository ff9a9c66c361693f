//! Agents and their versions (API 3).

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, AgentVersionId};
use crate::time::Timestamp;

/// An agent as an item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name, lower case.
    pub name: String,
    /// `description` of the current configuration.
    pub description: Option<String>,
    /// The current version.
    pub current_version_id: Option<AgentVersionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the head changed last.
    pub updated_at: Timestamp,
}

/// An agent in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentDetail {
    /// The list item.
    #[serde(flatten)]
    pub agent: Agent,
    /// The current version.
    pub current_version: Option<AgentVersion>,
    /// The current configuration.
    pub config: Option<serde_json::Value>,
    /// What the request did; only in answers to `POST` and `PUT`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<AgentAction>,
}

/// What composing an agent did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentAction {
    /// A new agent with its first version.
    Created,
    /// A new version, now the head.
    Updated,
    /// The content is a version already; it became the head.
    Existing,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentVersion {
    /// Its id.
    pub id: AgentVersionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// 1, 2, 3, … in order of creation within the agent.
    pub version_number: i64,
    /// The message it was made with.
    pub message: Option<String>,
    /// Name of the user who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The configuration; only in items of the versions list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<serde_json::Value>,
}

/// The body of `POST /v1/agents` and `PUT /v1/agents/:id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentPut {
    /// The agent file as JSON.
    pub config: serde_json::Value,
    /// Kept with a version that this request creates.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
}
