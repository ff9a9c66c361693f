//! Leases: taking the oldest pending run, keeping it, losing it.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use vm0_model::run::RunChange;
use vm0_model::wire::runner::Conversation;
use vm0_model::{
    Epoch, Lease, ManifestId, RunId, RunStatus, StorageId, StorageKind, Timestamp, VersionId,
};

use crate::error::StoreError;
use crate::record::{ClaimedRun, ClaimedVolume, Leased, RunRecord, RunVolume, VersionWanted};
use crate::sqlite::columns::{Columns, json};
use crate::sqlite::{agents, run_networks, runs, sessions, versions};

type Result<T> = std::result::Result<T, StoreError>;
type Found = Option<(VersionId, ManifestId)>;

pub(super) const QUEUE: &str =
    "SELECT id FROM runs WHERE status = 'pending' ORDER BY created_at, id LIMIT 1";
pub(super) const EXPIRED: &str = "SELECT run_id FROM run_progress WHERE expires_at <= $1";

/// Who claims, and until when.
pub(super) struct Claim {
    pub(super) runner: String,
    pub(super) sandbox: String,
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// Takes the oldest pending run.
pub(super) async fn run_claim(
    connection: &mut SqliteConnection,
    claim: Claim,
) -> Result<Option<ClaimedRun>> {
    let Some(row) = sqlx::query(QUEUE).fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let id: RunId = Columns {
        table: "runs",
        row: &row,
    }
    .parse("id")?;
    let pending = runs::get(connection, id).await?;
    let artifact = resolve_artifact(connection, &pending, claim.now).await?;
    let volumes = resolve_volumes(connection, &pending).await?;
    let epoch = lease(connection, id, &claim).await?;
    mark_running(connection, &pending, &claim, artifact, &volumes).await?;
    let sealed = take_sealed(connection, id).await?;
    let run = runs::get(connection, id).await?;
    let version = agents::version(connection, run.agent_id, run.agent_version)
        .await?
        .ok_or(StoreError::Corrupt {
            table: "agent_versions",
            column: "id",
        })?;
    let conversation = conversation(connection, &run).await?;
    let network = run_networks::find(&mut *connection, id).await?;
    Ok(Some(ClaimedRun {
        lease: Lease {
            run_id: id,
            epoch,
            expires_at: claim.expires_at,
        },
        config: version.config,
        sealed,
        artifact,
        volumes,
        conversation,
        network,
        run,
    }))
}

/// The artifact's storage, made again if it is gone, and the version to start from.
async fn resolve_artifact(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    now: Timestamp,
) -> Result<Option<(StorageId, Found)>> {
    let Some(artifact) = &run.artifact else {
        return Ok(None);
    };
    let row = sqlx::query("SELECT artifact_storage FROM runs WHERE id = $1")
        .bind(run.id.to_string())
        .fetch_one(&mut *connection)
        .await?;
    let known: StorageId = Columns {
        table: "runs",
        row: &row,
    }
    .parse("artifact_storage")?;
    let storage =
        versions::artifact_ensure(connection, run.user_id, &artifact.name, known, now).await?;
    let found = resolve(connection, storage, &artifact.wanted).await?;
    Ok(Some((storage, found)))
}

async fn resolve_volumes(
    connection: &mut SqliteConnection,
    run: &RunRecord,
) -> Result<Vec<ClaimedVolume>> {
    let mut claimed = Vec::with_capacity(run.volumes.len());
    for volume in &run.volumes {
        let version = resolve_volume(connection, run, volume).await?;
        claimed.push(ClaimedVolume {
            volume: volume.clone(),
            version,
        });
    }
    Ok(claimed)
}

/// An exact version is one of the storage that was found when the run was created; `latest` is the
/// head of the storage that has the name now.
async fn resolve_volume(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    volume: &RunVolume,
) -> Result<Found> {
    let storage = match &volume.wanted {
        VersionWanted::Exact(_) => Some(volume.storage_id),
        VersionWanted::Latest => {
            versions::storage_named(connection, run.user_id, StorageKind::Volume, &volume.name)
                .await?
        }
    };
    match storage {
        Some(storage) => resolve(connection, storage, &volume.wanted).await,
        None => Ok(None),
    }
}

async fn resolve(
    connection: &mut SqliteConnection,
    storage: StorageId,
    wanted: &VersionWanted,
) -> Result<Found> {
    let id = match wanted {
        VersionWanted::Exact(id) => Some(*id),
        VersionWanted::Latest => versions::head(connection, storage).await?.flatten(),
    };
    let Some(id) = id else { return Ok(None) };
    let version = versions::find(connection, storage, id).await?;
    Ok(version.map(|version| (version.id, version.manifest_id)))
}

async fn lease(connection: &mut SqliteConnection, id: RunId, claim: &Claim) -> Result<Epoch> {
    let epoch = sqlx::query_scalar(
        "UPDATE run_progress SET epoch = epoch + 1, runner = $2, expires_at = $3 \
         WHERE run_id = $1 RETURNING epoch",
    )
    .bind(id.to_string())
    .bind(&claim.runner)
    .bind(claim.expires_at.micros())
    .fetch_one(connection)
    .await?;
    Ok(Epoch(epoch))
}

async fn mark_running(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    claim: &Claim,
    artifact: Option<(StorageId, Found)>,
    volumes: &[ClaimedVolume],
) -> Result<()> {
    let status = runs::after(run.status, RunChange::Claim)?;
    let exact: BTreeMap<&str, VersionId> = volumes
        .iter()
        .filter_map(|claimed| Some((claimed.volume.key.as_str(), claimed.version?.0)))
        .collect();
    let base = artifact.and_then(|(_, version)| version).map(|(id, _)| id);
    sqlx::query(
        "UPDATE runs SET status = $2, started_at = $3, sandbox = $4, artifact_storage = $5, \
         artifact_base = $6, volume_versions = $7 WHERE id = $1",
    )
    .bind(run.id.to_string())
    .bind(status.as_str())
    .bind(claim.now.micros())
    .bind(&claim.sandbox)
    .bind(artifact.map(|(storage, _)| String::from(storage)))
    .bind(base.map(String::from))
    .bind(json(&exact))
    .execute(connection)
    .await?;
    Ok(())
}

/// The sealed values, which are then gone from the database.
async fn take_sealed(connection: &mut SqliteConnection, id: RunId) -> Result<Vec<u8>> {
    let sealed = sqlx::query_scalar("DELETE FROM run_sealed WHERE run_id = $1 RETURNING sealed")
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    Ok(sealed)
}

/// The conversation of the session as it is now, else of the resumed checkpoint.
async fn conversation(
    connection: &mut SqliteConnection,
    run: &RunRecord,
) -> Result<Option<Conversation>> {
    let checkpoint = match run.session_id {
        Some(session) => sessions::last_checkpoint(connection, session).await?,
        None => run.resumed_checkpoint,
    };
    match checkpoint {
        Some(id) => sessions::conversation(connection, id).await,
        None => Ok(None),
    }
}

/// Prolongs a lease.
pub(super) async fn run_renew(
    connection: &mut SqliteConnection,
    id: RunId,
    epoch: Epoch,
    expires_at: Timestamp,
) -> Result<Leased<RunStatus>> {
    let Some(progress) = runs::fenced(connection, id, epoch).await? else {
        return Ok(Leased::Stale);
    };
    if !progress.status.is_terminal() {
        sqlx::query("UPDATE run_progress SET expires_at = $2 WHERE run_id = $1")
            .bind(id.to_string())
            .bind(expires_at.micros())
            .execute(connection)
            .await?;
    }
    Ok(Leased::Done(progress.status))
}

/// Records that the agent process has started.
pub(super) async fn run_started(
    connection: &mut SqliteConnection,
    id: RunId,
    epoch: Epoch,
    sandbox: String,
    sandbox_ready_ms: i64,
) -> Result<Leased<RunStatus>> {
    let Some(progress) = runs::fenced(connection, id, epoch).await? else {
        return Ok(Leased::Stale);
    };
    sqlx::query("UPDATE runs SET sandbox = $2, sandbox_ready_ms = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(sandbox)
        .bind(sandbox_ready_ms)
        .execute(connection)
        .await?;
    Ok(Leased::Done(progress.status))
}

/// Ends the runs whose lease has expired.
pub(super) async fn run_expire(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let rows = sqlx::query(EXPIRED)
        .bind(now.micros())
        .fetch_all(&mut *connection)
        .await?;
    let mut expired = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: RunId = Columns {
            table: "run_progress",
            row,
        }
        .parse("run_id")?;
        let status = runs::after(RunStatus::Running, RunChange::TimeOut)?;
        sqlx::query("UPDATE runs SET status = $2, completed_at = $3, error = $4 WHERE id = $1")
            .bind(id.to_string())
            .bind(status.as_str())
            .bind(now.micros())
            .bind("runner lost for 120 s")
            .execute(&mut *connection)
            .await?;
        end_lease(connection, id).await?;
        expired.push(id);
    }
    Ok(expired)
}

/// Takes the expiry off the lease of a run that has ended; its epoch stays, for salvage.
pub(super) async fn end_lease(connection: &mut SqliteConnection, id: RunId) -> Result<()> {
    sqlx::query("UPDATE run_progress SET expires_at = NULL WHERE run_id = $1")
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
