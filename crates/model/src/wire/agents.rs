//! Agents and their versions (API 3).

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, AgentVersionId};
use crate::time::Timestamp;

/// An agent as an item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name, in lower case.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$")]
    pub name: String,
    /// `description` of the current configuration.
    pub description: Option<String>,
    /// The current version; set for every agent made through this API.
    pub current_version_id: Option<AgentVersionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the current version changed last.
    pub updated_at: Timestamp,
}

/// An agent in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentDetail {
    /// The list item.
    #[serde(flatten)]
    pub agent: Agent,
    /// The current version.
    pub current_version: Option<AgentVersion>,
    /// The current configuration.
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Value>,
    /// What the request did; only in answers to `POST` and `PUT`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub action: Option<AgentAction>,
}

/// What composing an agent did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentVersion {
    /// Its id.
    pub id: AgentVersionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// 1, 2, 3, … in order of creation within the agent.
    #[schema(minimum = 1)]
    pub version_number: i64,
    /// The message it was made with.
    pub message: Option<String>,
    /// Name of the user who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The configuration; only in items of the versions list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Object, nullable = false)]
    pub config: Option<serde_json::Value>,
}

/// The body of `POST /v1/agents` and `PUT /v1/agents/:id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentPut {
    /// The agent file as JSON.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// Kept with a version that this request creates; empty means none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(max_length = 1000)]
    pub message: Option<String>,
}
