//! Runs: reading them, and the trait whose transactions are in `run_create`, `run_claim` and
//! `run_finish`.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor, SqliteRow};
use vm0_model::run::RunChange;
use vm0_model::{Epoch, RunId, RunStatus, Timestamp, UserId};

use crate::contract::RunStore;
use crate::error::StoreError;
use crate::record::{
    ClaimedRun, Leased, ListPage, NewRun, RunArtifact, RunCancelOutcome, RunCreateOutcome,
    RunFilter, RunFinish, RunRecord, RunSalvage,
};
use crate::sqlite::columns::{Columns, Position, all};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{run_claim, run_create, run_finish};

type Result<T> = std::result::Result<T, StoreError>;

/// A filter's own index is named: without it the planner may take the one of all runs of the user,
/// and read them all to find the few that match.
macro_rules! select_run {
    ($rest:literal) => {
        select_run!(""; $rest)
    };
    ($index:literal; $rest:literal) => {
        concat!(
            "SELECT r.id, r.user_id, r.status, r.created_at, r.started_at, r.completed_at, ",
            "r.agent_id, r.agent_name, r.agent_version, r.timeout_seconds, r.session_id, ",
            "r.checkpoint_id, r.resumed_checkpoint, r.artifact_name, r.artifact_wanted, ",
            "r.artifact_shown, r.artifact_base, r.artifact_saved, r.artifact_salvaged, ",
            "r.volume_versions, r.sandbox, r.sandbox_ready_ms, r.exit_code, r.usage, r.error, ",
            "r.output, i.prompt, i.variables, i.volumes, p.event_count ",
            "FROM runs r ", $index, "JOIN run_inputs i ON i.run_id = r.id ",
            "JOIN run_progress p ON p.run_id = r.id WHERE ",
            $rest
        )
    };
}

pub(super) const BY_ID: &str = select_run!("r.id = $1");
pub(super) const LIST: &str = select_run!(
    "r.user_id = $1 AND (r.created_at, r.id) < ($2, $3) AND r.created_at >= $4 \
     ORDER BY r.created_at DESC, r.id DESC LIMIT $5"
);
pub(super) const LIST_BY_STATUS: &str = select_run!(
    "INDEXED BY runs_by_status ";
    "r.user_id = $1 AND r.status = $6 AND (r.created_at, r.id) < ($2, $3) \
     AND r.created_at >= $4 ORDER BY r.created_at DESC, r.id DESC LIMIT $5"
);
pub(super) const LIST_BY_AGENT: &str = select_run!(
    "INDEXED BY runs_by_agent ";
    "r.user_id = $1 AND r.agent_id = $6 AND (r.created_at, r.id) < ($2, $3) \
     AND r.created_at >= $4 ORDER BY r.created_at DESC, r.id DESC LIMIT $5"
);
pub(super) const LIST_BY_AGENT_STATUS: &str = select_run!(
    "INDEXED BY runs_by_agent_status ";
    "r.user_id = $1 AND r.agent_id = $6 AND r.status = $7 AND (r.created_at, r.id) < ($2, $3) \
     AND r.created_at >= $4 ORDER BY r.created_at DESC, r.id DESC LIMIT $5"
);
pub(super) const COUNT_ACTIVE: &str =
    "SELECT count(*) FROM runs WHERE user_id = $1 AND status IN ('pending', 'running')";

#[async_trait]
impl RunStore for SqliteStore {
    async fn run_create(&self, run: NewRun) -> Result<RunCreateOutcome> {
        self.write(move |connection| run_create::run_create(connection, run).boxed())
            .await
    }

    async fn run_find_idempotent(
        &self,
        user: UserId,
        key: &str,
        since: Timestamp,
    ) -> Result<Option<(RunRecord, String)>> {
        let key = key.to_owned();
        self.read(move |connection| {
            async move { run_create::find_idempotent(connection, user, &key, since).await }.boxed()
        })
        .await
    }

    async fn run_count_active(&self, user: UserId) -> Result<u32> {
        self.read(move |connection| count_active(connection, user).boxed())
            .await
    }

    async fn run_list(
        &self,
        user: UserId,
        filter: &RunFilter,
        page: ListPage,
    ) -> Result<Vec<RunRecord>> {
        let sql = match (filter.agent_id, filter.status) {
            (None, None) => LIST,
            (None, Some(_)) => LIST_BY_STATUS,
            (Some(_), None) => LIST_BY_AGENT,
            (Some(_), Some(_)) => LIST_BY_AGENT_STATUS,
        };
        let position = Position::of(&page);
        let mut query = sqlx::query(sql)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(filter.since.map_or(i64::MIN, Timestamp::micros))
            .bind(position.limit);
        if let Some(agent) = filter.agent_id {
            query = query.bind(agent.to_string());
        }
        if let Some(status) = filter.status {
            query = query.bind(status.as_str());
        }
        all(&query.fetch_all(&mut *self.reader().await?).await?, record)
    }

    async fn run_view(&self, user: Option<UserId>, id: RunId) -> Result<Option<RunRecord>> {
        let run = find(&mut *self.reader().await?, id).await?;
        Ok(run.filter(|run| user.is_none_or(|user| run.user_id == user)))
    }

    async fn run_cancel(
        &self,
        user: UserId,
        id: RunId,
        now: Timestamp,
    ) -> Result<RunCancelOutcome> {
        self.write(move |connection| run_finish::run_cancel(connection, user, id, now).boxed())
            .await
    }

    async fn run_claim(
        &self,
        runner: &str,
        sandbox: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<ClaimedRun>> {
        let claim = run_claim::Claim {
            runner: runner.to_owned(),
            sandbox: sandbox.to_owned(),
            now,
            expires_at,
        };
        self.write(move |connection| run_claim::run_claim(connection, claim).boxed())
            .await
    }

    async fn run_renew(
        &self,
        id: RunId,
        epoch: Epoch,
        expires_at: Timestamp,
    ) -> Result<Leased<RunStatus>> {
        self.write(move |connection| {
            run_claim::run_renew(connection, id, epoch, expires_at).boxed()
        })
        .await
    }

    async fn run_started(
        &self,
        id: RunId,
        epoch: Epoch,
        sandbox: &str,
        sandbox_ready_ms: i64,
    ) -> Result<Leased<RunStatus>> {
        let sandbox = sandbox.to_owned();
        self.write(move |connection| {
            run_claim::run_started(connection, id, epoch, sandbox, sandbox_ready_ms).boxed()
        })
        .await
    }

    async fn run_finish(&self, finish: RunFinish) -> Result<Leased<RunRecord>> {
        self.write(move |connection| run_finish::run_finish(connection, finish).boxed())
            .await
    }

    async fn run_salvage(&self, salvage: RunSalvage) -> Result<Leased<RunRecord>> {
        self.write(move |connection| run_finish::run_salvage(connection, salvage).boxed())
            .await
    }

    async fn run_expire(&self, now: Timestamp) -> Result<Vec<RunId>> {
        self.write(move |connection| run_claim::run_expire(connection, now).boxed())
            .await
    }
}

/// A run of any user.
pub(super) async fn find(
    executor: impl SqliteExecutor<'_>,
    id: RunId,
) -> Result<Option<RunRecord>> {
    let row = sqlx::query(BY_ID)
        .bind(id.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(record).transpose()
}

/// A run that exists.
pub(super) async fn get(connection: &mut SqliteConnection, id: RunId) -> Result<RunRecord> {
    find(connection, id).await?.ok_or(StoreError::Corrupt {
        table: "runs",
        column: "id",
    })
}

/// Pending and running runs of a user.
pub(super) async fn count_active(connection: &mut SqliteConnection, user: UserId) -> Result<u32> {
    let count: i64 = sqlx::query_scalar(COUNT_ACTIVE)
        .bind(user.to_string())
        .fetch_one(connection)
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Where a run stands: its state, its epoch and what is recorded.
pub(super) struct Progress {
    pub(super) status: RunStatus,
    pub(super) epoch: Epoch,
    pub(super) event_count: u64,
    pub(super) log_count: u64,
    pub(super) metric_count: u64,
}

/// Where a run stands, if `epoch` is the number of its lease.
pub(super) async fn fenced(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Epoch,
) -> Result<Option<Progress>> {
    let row = sqlx::query(
        "SELECT r.status, p.epoch, p.event_count, p.log_count, p.metric_count \
         FROM run_progress p JOIN runs r ON r.id = p.run_id WHERE p.run_id = $1",
    )
    .bind(run.to_string())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let columns = Columns {
        table: "run_progress",
        row: &row,
    };
    let progress = Progress {
        status: columns.parse("status")?,
        epoch: Epoch(columns.get("epoch")?),
        event_count: columns.integer("event_count")?,
        log_count: columns.integer("log_count")?,
        metric_count: columns.integer("metric_count")?,
    };
    let leased = progress.epoch == epoch && progress.status != RunStatus::Pending;
    Ok(leased.then_some(progress))
}

/// The state after a change that the caller has seen to be possible.
pub(super) fn after(status: RunStatus, change: RunChange) -> Result<RunStatus> {
    status.after(change).map_err(|_| StoreError::Corrupt {
        table: "runs",
        column: "status",
    })
}

fn record(row: &SqliteRow) -> Result<RunRecord> {
    let columns = Columns { table: "runs", row };
    Ok(RunRecord {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        agent_id: columns.parse("agent_id")?,
        agent_name: columns.get("agent_name")?,
        agent_version: columns.parse("agent_version")?,
        status: columns.parse("status")?,
        prompt: columns.get("prompt")?,
        created_at: columns.time("created_at")?,
        started_at: columns.time_opt("started_at")?,
        completed_at: columns.time_opt("completed_at")?,
        error: columns.get("error")?,
        timeout_seconds: columns.integer("timeout_seconds")?,
        variables: columns.json("variables")?,
        checkpoint_id: columns.parse_opt("checkpoint_id")?,
        session_id: columns.parse_opt("session_id")?,
        resumed_checkpoint: columns.parse_opt("resumed_checkpoint")?,
        artifact: artifact(&columns)?,
        artifact_base: columns.parse_opt("artifact_base")?,
        artifact_saved: columns.parse_opt("artifact_saved")?,
        artifact_salvaged: columns.parse_opt("artifact_salvaged")?,
        volumes: columns.json("volumes")?,
        volume_versions: columns.json_opt("volume_versions")?,
        output: columns.get("output")?,
        exit_code: columns.get("exit_code")?,
        sandbox: columns.get("sandbox")?,
        usage: columns.json_opt("usage")?,
        sandbox_ready_ms: columns.get("sandbox_ready_ms")?,
        event_count: columns.integer("event_count")?,
    })
}

fn artifact(columns: &Columns<'_>) -> Result<Option<RunArtifact>> {
    let Some(name) = columns.get("artifact_name")? else {
        return Ok(None);
    };
    Ok(Some(RunArtifact {
        name,
        wanted: columns.parse("artifact_wanted")?,
        shown: columns.get("artifact_shown")?,
    }))
}
