//! Schedules.

use vm0_model::wire::schedules::ScheduleCreate;
use vm0_model::{AgentId, RunId, ScheduleId, Timestamp, UserId};

/// What starts runs of an agent at certain times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// Its id.
    pub id: ScheduleId,
    /// The owner.
    pub user_id: UserId,
    /// The agent.
    pub agent_id: AgentId,
    /// Name of the agent.
    pub agent_name: String,
    /// Where the expression is read.
    pub timezone: String,
    /// What was asked for, the expression and the request of each run among it.
    pub request: ScheduleCreate,
    /// When it is due next; none while it is off.
    pub next_at: Option<Timestamp>,
    /// The last occurrence that was seen to.
    pub last_due_at: Option<Timestamp>,
    /// The last run that it made.
    pub last_run_id: Option<RunId>,
    /// Why the last occurrence made no run.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last switched on or off.
    pub updated_at: Timestamp,
}

/// What became of a schedule to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleCreateOutcome {
    /// It is stored.
    Created,
    /// The agent is gone.
    AgentGone,
    /// The user has as many as allowed.
    LimitReached,
}

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleAdvance {
    /// The schedule.
    pub id: ScheduleId,
    /// The occurrence.
    pub due_at: Timestamp,
    /// The next one.
    pub next_at: Option<Timestamp>,
    /// The run, or why there is none.
    pub outcome: Result<RunId, String>,
}
