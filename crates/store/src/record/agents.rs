//! Agents and their versions.

use vm0_model::{AgentId, AgentVersionId, Timestamp, UserId};

use super::pages::Key;
use super::users::UserRecord;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub id: AgentId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name, lower case.
    pub name: String,
    /// `description` of the head's configuration.
    pub description: Option<String>,
    /// The head.
    pub head: AgentVersionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the head changed last.
    pub updated_at: Timestamp,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentVersionRecord {
    /// Its id.
    pub id: AgentVersionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// 1, 2, 3, … within the agent.
    pub number: i64,
    /// The stored configuration as JSON text.
    pub config: String,
    /// Its message.
    pub message: Option<String>,
    /// Name of the user who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A configuration to make the head of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPut {
    /// The owner.
    pub user: UserRecord,
    /// `Id`: this agent, which must have the name `name`. `Name`: found or made.
    pub key: Key<AgentId>,
    /// The name in the configuration.
    pub name: String,
    /// Id of the agent, if it is made.
    pub new_id: AgentId,
    /// Id of the configuration.
    pub version_id: AgentVersionId,
    /// The configuration as JSON text.
    pub config: String,
    /// Its description.
    pub description: Option<String>,
    /// Kept if a version is made.
    pub message: Option<String>,
    /// The present time.
    pub now: Timestamp,
}

/// What became of an [`AgentPut`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for a request and taken apart at once"
)]
pub enum AgentPutOutcome {
    /// The agent and its head.
    Done {
        /// The agent.
        agent: AgentRecord,
        /// Its head.
        version: AgentVersionRecord,
        /// Whether agent or version were made.
        action: vm0_model::wire::agents::AgentAction,
    },
    /// No such agent of this user.
    NotFound,
    /// The agent has another name.
    NameMismatch,
}

/// What became of the removal of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentDeleteOutcome {
    /// It is gone.
    Deleted,
    /// It has pending or running runs.
    ActiveRuns,
    /// No such agent of this user.
    NotFound,
}
