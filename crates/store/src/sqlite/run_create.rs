//! Creating a run: one transaction that checks again whatever may have changed since the caller
//! looked.

use sqlx::sqlite::SqliteConnection;
use vm0_model::limits::IDEMPOTENCY_TTL;
use vm0_model::{RunId, RunStatus, SessionId, StorageId, Timestamp, UserId};

use crate::error::StoreError;
use crate::record::{NewRun, RunCreateOutcome, RunRecord};
use crate::sqlite::columns::{Columns, json};
use crate::sqlite::{runs, versions};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const SESSION_ACTIVE: &str =
    "SELECT id FROM runs WHERE session_id = $1 AND status IN ('pending', 'running')";

/// Creates a run, or says why not; the checks are in the order of the API.
pub(super) async fn run_create(
    connection: &mut SqliteConnection,
    run: NewRun,
) -> Result<RunCreateOutcome> {
    if let Some(refusal) = refusal(connection, &run).await? {
        return Ok(refusal);
    }
    let artifact_storage = match &run.artifact {
        Some((artifact, id)) => Some(
            versions::artifact_ensure(connection, run.user_id, &artifact.name, *id, run.now)
                .await?,
        ),
        None => None,
    };
    insert_run(connection, &run, artifact_storage).await?;
    insert_inputs(connection, &run).await?;
    if let Some((key, digest)) = &run.idempotency {
        remember_key(connection, &run, key, digest).await?;
    }
    Ok(RunCreateOutcome::Created(
        runs::get(connection, run.id).await?,
    ))
}

async fn refusal(
    connection: &mut SqliteConnection,
    run: &NewRun,
) -> Result<Option<RunCreateOutcome>> {
    if let Some((key, digest)) = &run.idempotency {
        let ttl = i64::try_from(IDEMPOTENCY_TTL.as_millis()).unwrap_or(i64::MAX);
        let since = run.now.plus_millis(-ttl);
        match find_idempotent(connection, run.user_id, key, since).await? {
            Some((run, known)) if known == *digest => {
                return Ok(Some(RunCreateOutcome::Replayed(run)));
            }
            Some(_) => return Ok(Some(RunCreateOutcome::KeyReused)),
            None => {}
        }
    }
    if run.concurrency_limit > 0
        && runs::count_active(connection, run.user_id).await? >= run.concurrency_limit
    {
        return Ok(Some(RunCreateOutcome::LimitReached));
    }
    if !agent_exists(connection, run).await? {
        return Ok(Some(RunCreateOutcome::AgentGone));
    }
    if let Some(session) = run.session_id
        && session_active(connection, session).await?.is_some()
    {
        return Ok(Some(RunCreateOutcome::SessionBusy));
    }
    Ok(None)
}

/// The run created with this key since `since`, and the digest of its body.
pub(super) async fn find_idempotent(
    connection: &mut SqliteConnection,
    user: UserId,
    key: &str,
    since: Timestamp,
) -> Result<Option<(RunRecord, String)>> {
    let row = sqlx::query(
        "SELECT run_id, digest FROM run_keys WHERE user_id = $1 AND key = $2 AND created_at >= $3",
    )
    .bind(user.to_string())
    .bind(key.to_owned())
    .bind(since.micros())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let columns = Columns {
        table: "run_keys",
        row: &row,
    };
    let run = runs::get(connection, columns.parse("run_id")?).await?;
    Ok(Some((run, columns.get("digest")?)))
}

async fn agent_exists(connection: &mut SqliteConnection, run: &NewRun) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM agents a JOIN agent_versions v ON v.agent_id = a.id \
         WHERE a.user_id = $1 AND a.id = $2 AND v.id = $3",
    )
    .bind(run.user_id.to_string())
    .bind(run.agent_id.to_string())
    .bind(run.agent_version.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// The pending or running run on a session.
pub(super) async fn session_active(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<Option<RunId>> {
    let row = sqlx::query(SESSION_ACTIVE)
        .bind(session.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(|row| Columns { table: "runs", row }.parse("id"))
        .transpose()
}

async fn insert_run(
    connection: &mut SqliteConnection,
    run: &NewRun,
    artifact_storage: Option<StorageId>,
) -> Result<()> {
    let artifact = run.artifact.as_ref().map(|(artifact, _)| artifact);
    sqlx::query(
        "INSERT INTO runs (id, user_id, status, created_at, agent_id, agent_name, agent_version, \
         timeout_seconds, session_id, resumed_checkpoint, artifact_storage, artifact_name, \
         artifact_wanted, artifact_shown) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(run.id.to_string())
    .bind(run.user_id.to_string())
    .bind(RunStatus::Pending.as_str())
    .bind(run.now.micros())
    .bind(run.agent_id.to_string())
    .bind(&run.agent_name)
    .bind(run.agent_version.to_string())
    .bind(i64::from(run.timeout_seconds))
    .bind(run.session_id.map(String::from))
    .bind(run.resumed_checkpoint.map(String::from))
    .bind(artifact_storage.map(String::from))
    .bind(artifact.map(|artifact| &artifact.name))
    .bind(artifact.map(|artifact| String::from(artifact.wanted.clone())))
    .bind(artifact.and_then(|artifact| artifact.shown.as_ref()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_inputs(connection: &mut SqliteConnection, run: &NewRun) -> Result<()> {
    sqlx::query(
        "INSERT INTO run_inputs (run_id, prompt, variables, secret_names, volumes) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(run.id.to_string())
    .bind(&run.prompt)
    .bind(json(&run.variables))
    .bind(json(&run.secret_names))
    .bind(json(&run.volumes))
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO run_sealed (run_id, sealed) VALUES ($1, $2)")
        .bind(run.id.to_string())
        .bind(&run.sealed)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO run_progress (run_id, epoch, event_count, log_count, metric_count) \
         VALUES ($1, 0, 0, 0, 0)",
    )
    .bind(run.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// Binds the key to this run; an older binding of it has expired.
async fn remember_key(
    connection: &mut SqliteConnection,
    run: &NewRun,
    key: &str,
    digest: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO run_keys (user_id, key, digest, run_id, created_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, key) DO UPDATE SET \
         digest = excluded.digest, run_id = excluded.run_id, created_at = excluded.created_at",
    )
    .bind(run.user_id.to_string())
    .bind(key)
    .bind(digest)
    .bind(run.id.to_string())
    .bind(run.now.micros())
    .execute(connection)
    .await?;
    Ok(())
}
