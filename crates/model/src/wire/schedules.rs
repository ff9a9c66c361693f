//! Schedules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::runs::RunCreate;
use crate::id::{AgentId, RunId, ScheduleId};
use crate::time::Timestamp;

/// The body of `POST /v1/schedules`: when, and the request of each run. Secrets cannot be given; their
/// values are those that are stored when a run is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScheduleCreate {
    /// Five fields, `minute hour day-of-month month day-of-week`, or `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`.
    #[schema(min_length = 1, max_length = 256)]
    pub cron: String,
    /// Name of the IANA database in which the expression is read; `UTC` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(min_length = 1, max_length = 64)]
    pub timezone: Option<String>,
    /// Whether it is on from the start, which it is if this is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enabled: Option<bool>,
    /// The agent's id; wins over `agent`. One of the two is needed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<String>,
    /// The agent's name, in any case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// What the agent is asked; at most 1 MiB of UTF-8.
    #[schema(min_length = 1)]
    pub prompt: String,
    /// As of a run request; the current version of the time if it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8,64})$")]
    pub agent_version: Option<String>,
    /// As of a run request; stored ones fill the gaps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variables: Option<BTreeMap<String, String>>,
    /// As of a run request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub artifact_name: Option<String>,
    /// As of a run request; the latest of the time if it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8,64})$")]
    pub artifact_version: Option<String>,
    /// As of a run request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub volumes: Option<BTreeMap<String, String>>,
    /// As of a run request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 86400)]
    pub timeout_seconds: Option<u32>,
}

/// What starts runs of an agent at certain times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The agent. Deleting it deletes its schedules.
    pub agent_id: AgentId,
    /// Name of the agent.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$")]
    pub agent_name: String,
    /// As it was written.
    pub cron: String,
    /// Where the expression is read.
    pub timezone: String,
    /// Whether it is on.
    pub enabled: bool,
    /// When it is due next; null if it is off.
    pub next_run_at: Option<Timestamp>,
    /// The last occurrence that was seen to, whether a run was made or not.
    pub last_due_at: Option<Timestamp>,
    /// The last run that it made.
    pub last_run_id: Option<RunId>,
    /// Why the last occurrence made no run; null if it made one.
    pub last_error: Option<String>,
    /// What the agent is asked.
    pub prompt: String,
    /// As given; null: the current version of the time.
    pub agent_version: Option<String>,
    /// As given.
    pub variables: Option<BTreeMap<String, String>>,
    /// As given.
    pub artifact_name: Option<String>,
    /// As given; null: the latest of the time.
    pub artifact_version: Option<String>,
    /// As given.
    pub volumes: Option<BTreeMap<String, String>>,
    /// As given.
    pub timeout_seconds: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last switched on or off.
    pub updated_at: Timestamp,
}

impl ScheduleCreate {
    /// The request for a run.
    pub fn run(&self) -> RunCreate {
        RunCreate {
            prompt: self.prompt.clone(),
            agent_id: self.agent_id.clone(),
            agent: self.agent.clone(),
            agent_version: self.agent_version.clone(),
            variables: self.variables.clone(),
            artifact_name: self.artifact_name.clone(),
            artifact_version: self.artifact_version.clone(),
            volumes: self.volumes.clone(),
            timeout_seconds: self.timeout_seconds,
            ..RunCreate::default()
        }
    }
}
