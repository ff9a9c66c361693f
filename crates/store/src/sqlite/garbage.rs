//! What rows refer to, and removing what is old.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{RunId, StorageId, Timestamp, VersionId};

use crate::contract::GarbageStore;
use crate::error::StoreError;
use crate::record::{Extent, References, StorageVersionRecord, Telemetry};
use crate::sqlite::columns::{Columns, all, signed};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::versions;

type Result<T> = std::result::Result<T, StoreError>;

/// Runs that ended before `$1`, in the order of their ids.
const RUNS_ENDED: &str = "SELECT id FROM runs WHERE completed_at < $1 AND id > $2 \
     AND status IN ('completed', 'failed', 'timeout', 'cancelled') ORDER BY id LIMIT $3";

/// A salvaged version that nothing but its run knows: no head, no checkpoint, no active run.
macro_rules! salvaged {
    ($rest:literal) => {
        concat!(
            "salvaged = 1 AND created_at < $1 ",
            "AND NOT EXISTS (SELECT 1 FROM storages s WHERE s.id = storage_id ",
            "AND s.head = storage_versions.id) ",
            "AND NOT EXISTS (SELECT 1 FROM checkpoints c ",
            "WHERE c.artifact_version = storage_versions.id ",
            "OR c.volume_versions LIKE '%' || storage_versions.id || '%') ",
            "AND NOT EXISTS (SELECT 1 FROM runs r LEFT JOIN run_inputs i ON i.run_id = r.id ",
            "WHERE r.status IN ('pending', 'running') AND (r.artifact_wanted = storage_versions.id ",
            "OR r.artifact_base = storage_versions.id ",
            "OR i.volumes LIKE '%' || storage_versions.id || '%')) ",
            $rest
        )
    };
}

#[async_trait]
impl GarbageStore for SqliteStore {
    async fn references(&self) -> Result<References> {
        self.read(|connection| references(connection).boxed()).await
    }

    async fn run_list_ended(
        &self,
        before: Timestamp,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>> {
        let rows = sqlx::query(RUNS_ENDED)
            .bind(before.micros())
            .bind(after.map(String::from).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, |row| Columns { table: "runs", row }.parse("id"))
    }

    async fn telemetry_view(&self, run: RunId) -> Result<Telemetry> {
        self.read(move |connection| telemetry(connection, run).boxed())
            .await
    }

    async fn telemetry_remove(&self, run: RunId, limit: u32) -> Result<u64> {
        self.write(move |connection| telemetry_remove(connection, run, limit).boxed())
            .await
    }

    async fn salvaged_list(&self, before: Timestamp) -> Result<Vec<StorageVersionRecord>> {
        let sql = concat!(
            "SELECT storage_id, id, manifest_id, size, file_count, message, created_by, ",
            "created_at, run_id, salvaged FROM storage_versions WHERE ",
            salvaged!("ORDER BY storage_id, id")
        );
        let rows = sqlx::query(sql)
            .bind(before.micros())
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, versions::record)
    }

    async fn salvaged_remove(
        &self,
        storage: StorageId,
        version: VersionId,
        before: Timestamp,
    ) -> Result<bool> {
        self.write(move |connection| {
            async move {
                let sql = concat!(
                    "DELETE FROM storage_versions WHERE ",
                    salvaged!("AND storage_id = $2 AND id = $3")
                );
                let done = sqlx::query(sql)
                    .bind(before.micros())
                    .bind(storage.to_string())
                    .bind(version.to_string())
                    .execute(connection)
                    .await?;
                Ok(done.rows_affected() > 0)
            }
            .boxed()
        })
        .await
    }
}

async fn references(connection: &mut SqliteConnection) -> Result<References> {
    let manifests = sqlx::query("SELECT DISTINCT manifest_id FROM storage_versions")
        .fetch_all(&mut *connection)
        .await?;
    let histories =
        sqlx::query("SELECT DISTINCT history FROM checkpoints WHERE history IS NOT NULL")
            .fetch_all(&mut *connection)
            .await?;
    let uploads = sqlx::query("SELECT id FROM uploads")
        .fetch_all(&mut *connection)
        .await?;
    let oldest = sqlx::query("SELECT min(started_at) AS started_at FROM runs WHERE status = $1")
        .bind(vm0_model::RunStatus::Running.as_str())
        .fetch_one(connection)
        .await?;
    Ok(References {
        manifests: ids(&manifests, "storage_versions", "manifest_id")?,
        histories: ids(&histories, "checkpoints", "history")?,
        uploads: uploads.iter().map(session).collect::<Result<_>>()?,
        oldest_running: Columns {
            table: "runs",
            row: &oldest,
        }
        .time_opt("started_at")?,
    })
}

fn ids<T: std::str::FromStr + Eq + std::hash::Hash>(
    rows: &[SqliteRow],
    table: &'static str,
    column: &'static str,
) -> Result<std::collections::HashSet<T>> {
    rows.iter()
        .map(|row| Columns { table, row }.parse(column))
        .collect()
}

/// The name of an upload session among the objects: the last part of its id.
fn session(row: &SqliteRow) -> Result<String> {
    let columns = Columns {
        table: "uploads",
        row,
    };
    let id: &str = columns.get("id")?;
    Ok(id.rsplit(':').next().unwrap_or_default().to_owned())
}

async fn telemetry(connection: &mut SqliteConnection, run: RunId) -> Result<Telemetry> {
    let events = extent(
        connection,
        "SELECT count(*) AS count, coalesce(sum(length(data)), 0) AS bytes FROM events \
         WHERE run_id = $1",
        run,
    )
    .await?;
    let logs = extent(
        connection,
        "SELECT count(*) AS count, coalesce(sum(length(message) + coalesce(length(metadata), 0)), 0) \
         AS bytes FROM logs WHERE run_id = $1",
        run,
    )
    .await?;
    // Eight numbers of eight bytes and the place of the sample.
    let metrics = extent(
        connection,
        "SELECT count(*) AS count, count(*) * 72 AS bytes FROM metrics WHERE run_id = $1",
        run,
    )
    .await?;
    Ok(Telemetry {
        events,
        logs,
        metrics,
    })
}

async fn extent(
    connection: &mut SqliteConnection,
    sql: &'static str,
    run: RunId,
) -> Result<Extent> {
    let row = sqlx::query(sql)
        .bind(run.to_string())
        .fetch_one(connection)
        .await?;
    let columns = Columns {
        table: "events",
        row: &row,
    };
    Ok(Extent {
        count: columns.integer("count")?,
        bytes: columns.integer("bytes")?,
    })
}

async fn telemetry_remove(
    connection: &mut SqliteConnection,
    run: RunId,
    limit: u32,
) -> Result<u64> {
    let statements = [
        "DELETE FROM events WHERE run_id = $1 AND seq IN \
         (SELECT seq FROM events WHERE run_id = $1 ORDER BY seq LIMIT $2)",
        "DELETE FROM logs WHERE run_id = $1 AND arrival IN \
         (SELECT arrival FROM logs WHERE run_id = $1 LIMIT $2)",
        "DELETE FROM metrics WHERE run_id = $1 AND seq IN \
         (SELECT seq FROM metrics WHERE run_id = $1 ORDER BY seq LIMIT $2)",
    ];
    let mut removed = 0;
    for sql in statements {
        let left = u64::from(limit).saturating_sub(removed);
        let done = sqlx::query(sql)
            .bind(run.to_string())
            .bind(signed(left))
            .execute(&mut *connection)
            .await?;
        removed += done.rows_affected();
    }
    Ok(removed)
}
