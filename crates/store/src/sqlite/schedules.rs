//! Schedules.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{ScheduleId, Timestamp, UserId};

use crate::contract::ScheduleStore;
use crate::error::StoreError;
use crate::record::{
    Key, ListPage, ScheduleAdvance, ScheduleCreateOutcome, ScheduleRecord, UserRecord,
};
use crate::sqlite::agents;
use crate::sqlite::columns::{Columns, Position, all, json};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_schedule {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.user_id, s.agent_id, s.agent_name, s.timezone, s.request, ",
            "s.next_at, s.last_due_at, s.last_run_id, s.last_error, s.created_at, s.updated_at, ",
            "u.name AS user_name FROM schedules s JOIN users u ON u.id = s.user_id WHERE ",
            $rest
        )
    };
}

pub(super) const LIST: &str = select_schedule!(
    "s.user_id = $1 AND (s.created_at, s.id) < ($2, $3) \
     ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
);
pub(super) const VIEW: &str = select_schedule!("s.id = $1 AND s.user_id = $2");
pub(super) const DUE: &str =
    select_schedule!("s.next_at IS NOT NULL AND s.next_at <= $1 ORDER BY s.next_at, s.id LIMIT $2");
pub(super) const COUNT: &str = "SELECT count(*) FROM schedules WHERE user_id = $1";

#[async_trait]
impl ScheduleStore for SqliteStore {
    async fn schedule_create(
        &self,
        schedule: ScheduleRecord,
        limit: u32,
    ) -> Result<ScheduleCreateOutcome> {
        self.write(move |connection| schedule_create(connection, schedule, limit).boxed())
            .await
    }

    async fn schedule_list(&self, user: UserId, page: ListPage) -> Result<Vec<ScheduleRecord>> {
        let position = Position::of(&page);
        let rows = sqlx::query(LIST)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, schedule)
    }

    async fn schedule_view(&self, user: UserId, id: ScheduleId) -> Result<Option<ScheduleRecord>> {
        view(&mut *self.reader().await?, user, id).await
    }

    async fn schedule_switch(
        &self,
        user: UserId,
        id: ScheduleId,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<ScheduleRecord>> {
        self.write(move |connection| schedule_switch(connection, user, id, next_at, now).boxed())
            .await
    }

    async fn schedule_delete(&self, user: UserId, id: ScheduleId) -> Result<bool> {
        self.write(move |connection| schedule_delete(connection, user, id).boxed())
            .await
    }

    async fn schedule_list_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserRecord, ScheduleRecord)>> {
        let rows = sqlx::query(DUE)
            .bind(now.micros())
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, |row| Ok((owner(row)?, schedule(row)?)))
    }

    async fn schedule_advance(&self, advance: ScheduleAdvance) -> Result<bool> {
        self.write(move |connection| schedule_advance(connection, advance).boxed())
            .await
    }
}

async fn schedule_create(
    connection: &mut SqliteConnection,
    schedule: ScheduleRecord,
    limit: u32,
) -> Result<ScheduleCreateOutcome> {
    let user = schedule.user_id;
    let agent = Key::Id(schedule.agent_id);
    if agents::find(connection, user, &agent).await?.is_none() {
        return Ok(ScheduleCreateOutcome::AgentGone);
    }
    let count: i64 = sqlx::query_scalar(COUNT)
        .bind(user.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if count >= i64::from(limit) {
        return Ok(ScheduleCreateOutcome::LimitReached);
    }
    sqlx::query(
        "INSERT INTO schedules (id, user_id, agent_id, agent_name, timezone, request, next_at, \
         last_due_at, last_run_id, last_error, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(schedule.id.to_string())
    .bind(user.to_string())
    .bind(schedule.agent_id.to_string())
    .bind(schedule.agent_name)
    .bind(schedule.timezone)
    .bind(json(&schedule.request))
    .bind(schedule.next_at.map(Timestamp::micros))
    .bind(schedule.last_due_at.map(Timestamp::micros))
    .bind(schedule.last_run_id.map(String::from))
    .bind(schedule.last_error)
    .bind(schedule.created_at.micros())
    .bind(schedule.updated_at.micros())
    .execute(connection)
    .await?;
    Ok(ScheduleCreateOutcome::Created)
}

async fn schedule_switch(
    connection: &mut SqliteConnection,
    user: UserId,
    id: ScheduleId,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<ScheduleRecord>> {
    sqlx::query(
        "UPDATE schedules SET next_at = $3, updated_at = $4 WHERE id = $1 AND user_id = $2 \
         AND (next_at IS NULL) <> ($3 IS NULL)",
    )
    .bind(id.to_string())
    .bind(user.to_string())
    .bind(next_at.map(Timestamp::micros))
    .bind(now.micros())
    .execute(&mut *connection)
    .await?;
    view(connection, user, id).await
}

async fn schedule_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    id: ScheduleId,
) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM schedules WHERE id = $1 AND user_id = $2")
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

async fn schedule_advance(
    connection: &mut SqliteConnection,
    advance: ScheduleAdvance,
) -> Result<bool> {
    let (run, error) = match advance.outcome {
        Ok(run) => (Some(run.to_string()), None),
        Err(error) => (None, Some(error)),
    };
    let advanced = sqlx::query(
        "UPDATE schedules SET next_at = $3, last_due_at = $2, \
         last_run_id = coalesce($4, last_run_id), last_error = $5 WHERE id = $1 AND next_at = $2",
    )
    .bind(advance.id.to_string())
    .bind(advance.due_at.micros())
    .bind(advance.next_at.map(Timestamp::micros))
    .bind(run)
    .bind(error)
    .execute(connection)
    .await?;
    Ok(advanced.rows_affected() > 0)
}

async fn view(
    connection: &mut SqliteConnection,
    user: UserId,
    id: ScheduleId,
) -> Result<Option<ScheduleRecord>> {
    let row = sqlx::query(VIEW)
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(schedule).transpose()
}

fn schedule(row: &SqliteRow) -> Result<ScheduleRecord> {
    let columns = Columns {
        table: "schedules",
        row,
    };
    Ok(ScheduleRecord {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        agent_id: columns.parse("agent_id")?,
        agent_name: columns.get("agent_name")?,
        timezone: columns.get("timezone")?,
        request: columns.json("request")?,
        next_at: columns.time_opt("next_at")?,
        last_due_at: columns.time_opt("last_due_at")?,
        last_run_id: columns.parse_opt("last_run_id")?,
        last_error: columns.get("last_error")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn owner(row: &SqliteRow) -> Result<UserRecord> {
    let columns = Columns {
        table: "users",
        row,
    };
    Ok(UserRecord {
        id: columns.parse("user_id")?,
        name: columns.get("user_name")?,
    })
}
