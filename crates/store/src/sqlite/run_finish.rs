//! The end of a run: cancelled, finished, salvaged.

use sqlx::sqlite::SqliteConnection;
use vm0_model::run::RunChange;
use vm0_model::{CheckpointId, RunId, RunStatus, SessionId, Timestamp, UserId, VersionId};

use crate::error::StoreError;
use crate::record::{
    Leased, RunCancelOutcome, RunFinish, RunRecord, RunSalvage, SavedVersion, StorageVersionRecord,
};
use crate::sqlite::columns::json;
use crate::sqlite::run_claim::end_lease;
use crate::sqlite::{runs, sessions, versions};

type Result<T> = std::result::Result<T, StoreError>;

/// Cancels a pending or running run.
pub(super) async fn run_cancel(
    connection: &mut SqliteConnection,
    user: UserId,
    id: RunId,
    now: Timestamp,
) -> Result<RunCancelOutcome> {
    let Some(run) = runs::find(&mut *connection, id)
        .await?
        .filter(|run| run.user_id == user)
    else {
        return Ok(RunCancelOutcome::NotFound);
    };
    let Ok(status) = run.status.after(RunChange::Cancel) else {
        return Ok(RunCancelOutcome::Terminal(run.status));
    };
    sqlx::query("UPDATE runs SET status = $2, completed_at = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(status.as_str())
        .bind(now.micros())
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM run_sealed WHERE run_id = $1")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    end_lease(connection, id).await?;
    Ok(RunCancelOutcome::Cancelled(
        runs::get(connection, id).await?,
    ))
}

/// Ends a run under its lease.
pub(super) async fn run_finish(
    connection: &mut SqliteConnection,
    finish: RunFinish,
) -> Result<Leased<RunRecord>> {
    let id = finish.run_id;
    if runs::fenced(connection, id, finish.epoch).await?.is_none() {
        return Ok(Leased::Stale);
    }
    let run = runs::get(connection, id).await?;
    if run.status.is_terminal() {
        let salvaged = RunSalvage {
            run_id: id,
            epoch: finish.epoch,
            exit_code: None,
            usage: finish.usage,
            artifact: finish.artifact,
            now: finish.now,
        };
        add(connection, &run, &salvaged).await?;
    } else if finish.status == RunStatus::Completed {
        complete(connection, &run, &finish).await?;
    } else {
        fail(connection, &run, &finish).await?;
    }
    Ok(Leased::Done(runs::get(connection, id).await?))
}

/// Adds what was salvaged to a run that ended without completing.
pub(super) async fn run_salvage(
    connection: &mut SqliteConnection,
    salvaged: RunSalvage,
) -> Result<Leased<RunRecord>> {
    let id = salvaged.run_id;
    if runs::fenced(connection, id, salvaged.epoch)
        .await?
        .is_none()
    {
        return Ok(Leased::Stale);
    }
    let run = runs::get(connection, id).await?;
    if run.status.is_terminal() {
        add(connection, &run, &salvaged).await?;
    }
    Ok(Leased::Done(runs::get(connection, id).await?))
}

async fn add(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    salvaged: &RunSalvage,
) -> Result<()> {
    if run.status == RunStatus::Completed {
        return Ok(());
    }
    if let Some(saved) = &salvaged.artifact {
        salvage(connection, run, saved, salvaged.now).await?;
    }
    sqlx::query(
        "UPDATE runs SET exit_code = coalesce(exit_code, $2), usage = coalesce(usage, $3) \
         WHERE id = $1",
    )
    .bind(run.id.to_string())
    .bind(salvaged.exit_code)
    .bind(salvaged.usage.as_ref().map(json))
    .execute(connection)
    .await?;
    Ok(())
}

/// What a completed run leaves, as its row names it.
#[derive(Default)]
struct Left {
    saved: Option<VersionId>,
    checkpoint: Option<CheckpointId>,
    session: Option<SessionId>,
}

async fn complete(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    finish: &RunFinish,
) -> Result<()> {
    let mut left = Left {
        session: run.session_id,
        ..Left::default()
    };
    if let Some(saved) = &finish.artifact
        && let Some(version) = saved_version(connection, run, saved, Kept::Head, finish.now).await?
    {
        left.saved = Some(versions::commit(connection, &version).await?.id);
    }
    if let Some(checkpoint) = &finish.checkpoint {
        let session = run.session_id.unwrap_or(checkpoint.new_session_id);
        sessions::checkpoint_insert(connection, run, checkpoint, session, left.saved, finish.now)
            .await?;
        sessions::session_move(connection, run, checkpoint.id, session, finish.now).await?;
        left.checkpoint = Some(checkpoint.id);
        left.session = Some(session);
    }
    end(connection, run, finish, RunChange::Complete, &left).await
}

/// Ends the run without a checkpoint; every report but `completed` and `timeout` is a failure.
async fn fail(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    finish: &RunFinish,
) -> Result<()> {
    let change = match finish.status {
        RunStatus::Timeout => RunChange::TimeOut,
        _ => RunChange::Fail,
    };
    let left = Left {
        session: run.session_id,
        ..Left::default()
    };
    end(connection, run, finish, change, &left).await?;
    match &finish.artifact {
        Some(saved) => salvage(connection, run, saved, finish.now).await,
        None => Ok(()),
    }
}

async fn end(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    finish: &RunFinish,
    change: RunChange,
    left: &Left,
) -> Result<()> {
    let status = runs::after(run.status, change)?;
    sqlx::query(
        "UPDATE runs SET status = $2, completed_at = $3, error = $4, exit_code = $5, output = $6, \
         usage = $7, artifact_saved = $8, checkpoint_id = $9, session_id = $10 WHERE id = $1",
    )
    .bind(run.id.to_string())
    .bind(status.as_str())
    .bind(finish.now.micros())
    .bind(&finish.error)
    .bind(finish.exit_code)
    .bind(&finish.output)
    .bind(finish.usage.as_ref().map(json))
    .bind(left.saved.map(String::from))
    .bind(left.checkpoint.map(String::from))
    .bind(left.session.map(String::from))
    .execute(&mut *connection)
    .await?;
    end_lease(connection, run.id).await
}

/// Keeps the workspace of a run that did not complete, if it changed and was not kept before.
async fn salvage(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    saved: &SavedVersion,
    now: Timestamp,
) -> Result<()> {
    let unchanged = match run.artifact_base {
        Some(base) => base == saved.version_id,
        None => saved.file_count == 0,
    };
    if unchanged || run.status == RunStatus::Completed || run.artifact_salvaged.is_some() {
        return Ok(());
    }
    let Some(version) = saved_version(connection, run, saved, Kept::Salvaged, now).await? else {
        return Ok(());
    };
    versions::insert(connection, &version).await?;
    sqlx::query("UPDATE runs SET artifact_salvaged = $2 WHERE id = $1")
        .bind(run.id.to_string())
        .bind(version.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Why a workspace is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Head,
    Salvaged,
}

/// The version row of a saved workspace, in the run's artifact, which is made again if it is gone;
/// `None` if the run has no artifact.
async fn saved_version(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    saved: &SavedVersion,
    kept: Kept,
    now: Timestamp,
) -> Result<Option<StorageVersionRecord>> {
    let Some(artifact) = &run.artifact else {
        return Ok(None);
    };
    let storage_id = versions::artifact_ensure(
        connection,
        run.user_id,
        &artifact.name,
        saved.storage_id,
        now,
    )
    .await?;
    if storage_id != saved.storage_id {
        return Err(StoreError::ArtifactMoved);
    }
    Ok(Some(StorageVersionRecord {
        id: saved.version_id,
        storage_id,
        manifest_id: saved.manifest_id,
        size: saved.size,
        file_count: saved.file_count,
        message: Some(format!("Run {}", run.id)),
        created_by: "run".to_owned(),
        created_at: now,
        run_id: Some(run.id),
        salvaged: kept == Kept::Salvaged,
    }))
}
