//! Schedules: runs that the server makes at certain times.
//!
//! Each occurrence makes at most one run, whatever stops in between: the run is made under an
//! idempotency key that names schedule and occurrence, and only then does the schedule move on. An
//! occurrence that cannot make its run is not tried again; the schedule says why.

use vm0_model::schedule::{Cron, CronError, is_missed};
use vm0_model::wire::page::Page;
use vm0_model::wire::schedules::{Schedule, ScheduleCreate};
use vm0_model::{ApiError, RunId, ScheduleId, Timestamp, limits};
use vm0_store::record::{ScheduleAdvance, ScheduleCreateOutcome, ScheduleRecord, UserRecord};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::runs::RunRequest;
use super::tokens::Caller;
use crate::clock;

const LIST: &str = "schedules";
const DEFAULT_TIMEZONE: &str = "UTC";

impl App {
    /// Makes a schedule, if its first run could be made now.
    pub(crate) async fn schedule_create(
        &self,
        caller: &Caller,
        request: ScheduleCreate,
    ) -> Result<Schedule, AppError> {
        let timezone = request.timezone.as_deref().unwrap_or(DEFAULT_TIMEZONE);
        let cron = Cron::parse(&request.cron, timezone).map_err(cron_fault)?;
        let agent = self.run_check(caller, &request.run()).await?;
        let now = clock::now();
        let enabled = request.enabled.unwrap_or(true);
        let schedule = ScheduleRecord {
            id: clock::fresh(ScheduleId::from_uuid),
            user_id: caller.user.id,
            agent_id: agent.id,
            agent_name: agent.name,
            timezone: timezone.to_owned(),
            next_at: cron.next_after(now).filter(|_| enabled),
            request,
            last_due_at: None,
            last_run_id: None,
            last_error: None,
            created_at: now,
            updated_at: now,
        };
        let stored = schedule.clone();
        let limit = limits::SCHEDULES_MAX_PER_USER;
        match self.store.schedule_create(stored, limit).await? {
            ScheduleCreateOutcome::Created => Ok(shown(schedule)),
            ScheduleCreateOutcome::AgentGone => {
                Err(ApiError::not_found("agent", schedule.agent_name).into())
            }
            ScheduleCreateOutcome::LimitReached => {
                let message = format!("There may be at most {limit} schedules; delete one first");
                Err(ApiError::invalid("cron", message).into())
            }
        }
    }

    /// The schedules of the caller.
    pub(crate) async fn schedule_list(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Schedule>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let rows = self.store.schedule_list(caller.user.id, rows).await?;
        let position = |row: &ScheduleRecord| cursor::list_position(LIST, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, shown))
    }

    /// A schedule.
    pub(crate) async fn schedule_view(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Schedule, AppError> {
        self.schedule_find(caller, id).await.map(shown)
    }

    /// Switches a schedule on, from its next time on, or off.
    pub(crate) async fn schedule_switch(
        &self,
        caller: &Caller,
        id: &str,
        on: bool,
    ) -> Result<Schedule, AppError> {
        let found = self.schedule_find(caller, id).await?;
        let now = clock::now();
        let next_at = if on { next_after(&found, now) } else { None };
        let switched = self
            .store
            .schedule_switch(caller.user.id, found.id, next_at, now)
            .await?;
        Ok(shown(switched.ok_or_else(|| unknown(id))?))
    }

    /// Deletes a schedule; its runs stay.
    pub(crate) async fn schedule_delete(&self, caller: &Caller, id: &str) -> Result<(), AppError> {
        let found = id.parse().map_err(|_| unknown(id))?;
        if self.store.schedule_delete(caller.user.id, found).await? {
            Ok(())
        } else {
            Err(unknown(id).into())
        }
    }

    async fn schedule_find(&self, caller: &Caller, id: &str) -> Result<ScheduleRecord, AppError> {
        let found = id.parse().map_err(|_| unknown(id))?;
        let found = self.store.schedule_view(caller.user.id, found).await?;
        Ok(found.ok_or_else(|| unknown(id))?)
    }

    /// Sees to the schedules that are due.
    ///
    /// # Errors
    /// When the store fails. What was not seen to is due still.
    pub(crate) async fn schedule_run_due(&self) -> Result<(), AppError> {
        let now = clock::now();
        let due = self
            .store
            .schedule_list_due(now, limits::SCHEDULE_BATCH)
            .await?;
        for (user, schedule) in due {
            let Some(due_at) = schedule.next_at else {
                continue;
            };
            let outcome = match self.schedule_run(user, &schedule, due_at, now).await {
                Ok(outcome) => outcome,
                // It is due still; the others are not to wait for it.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, schedule = %schedule.id, "a schedule was not seen to");
                    continue;
                }
            };
            if let Err(reason) = &outcome {
                tracing::warn!(schedule = %schedule.id, reason, "a schedule made no run");
            }
            let advance = ScheduleAdvance {
                id: schedule.id,
                due_at,
                next_at: next_after(&schedule, now),
                outcome,
            };
            self.store.schedule_advance(advance).await?;
        }
        Ok(())
    }

    /// The run of an occurrence, or why it makes none.
    async fn schedule_run(
        &self,
        user: UserRecord,
        schedule: &ScheduleRecord,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<RunId, String>, AppError> {
        if is_missed(due_at, now) {
            return Ok(Err(format!("The server did not run at {due_at}")));
        }
        let key = format!("schedule {} {due_at}", schedule.id);
        if let Some(last) = schedule.last_run_id
            && let Some(last) = self.store.run_view(Some(user.id), last).await?
            && !last.status.is_terminal()
        {
            let reason = format!("Run {} of the time before has not ended", last.id);
            return Ok(Err(reason));
        }
        let mut fields = schedule.request.run();
        fields.agent_id = Some(schedule.agent_id.to_string());
        let body = serde_json::to_value(&schedule.request).expect("a struct of plain values");
        let request = RunRequest {
            fields,
            body,
            idempotency_key: Some(Ok(key)),
        };
        let caller = Caller {
            user,
            token: None,
            address: None,
        };
        match self.run_create(&caller, request).await {
            Ok(run) => Ok(Ok(run.run.id)),
            Err(AppError::Api(refusal)) => Ok(Err(refusal.message)),
            Err(error) => Err(error),
        }
    }
}

fn next_after(schedule: &ScheduleRecord, now: Timestamp) -> Option<Timestamp> {
    let cron = Cron::parse(&schedule.request.cron, &schedule.timezone).ok()?;
    cron.next_after(now)
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found("schedule", id)
}

fn cron_fault(error: CronError) -> ApiError {
    let param = match error {
        CronError::TimeZone => "timezone",
        CronError::Expression | CronError::Never => "cron",
    };
    ApiError::invalid(param, format!("{param} {error}"))
}

fn shown(row: ScheduleRecord) -> Schedule {
    let request = row.request;
    Schedule {
        id: row.id,
        agent_id: row.agent_id,
        agent_name: row.agent_name,
        cron: request.cron,
        timezone: row.timezone,
        enabled: row.next_at.is_some(),
        next_run_at: row.next_at,
        last_due_at: row.last_due_at,
        last_run_id: row.last_run_id,
        last_error: row.last_error,
        prompt: request.prompt,
        agent_version: request.agent_version,
        variables: request.variables,
        artifact_name: request.artifact_name,
        artifact_version: request.artifact_version,
        volumes: request.volumes,
        timeout_seconds: request.timeout_seconds,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
