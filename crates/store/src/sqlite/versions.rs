//! Recording versions of storages and moving heads, inside the transactions of commits and runs.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{StorageId, StorageKind, Timestamp, UserId, VersionId};

use crate::error::StoreError;
use crate::record::{StorageRecord, StorageVersionRecord};
use crate::sqlite::columns::{Columns, signed};

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_version {
    ($rest:literal) => {
        concat!(
            "SELECT storage_id, id, manifest_id, size, file_count, message, created_by, ",
            "created_at, run_id, salvaged FROM storage_versions WHERE ",
            $rest
        )
    };
}

pub(super) const BY_ID: &str = select_version!("storage_id = $1 AND id = $2");
pub(super) const LIST: &str = select_version!(
    "storage_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
);
pub(super) const MATCH: &str =
    select_version!("storage_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT 2");

/// A storage's head: `None` if the storage is gone, `Some(None)` if it has no version.
pub(super) async fn head(
    connection: &mut SqliteConnection,
    storage: StorageId,
) -> Result<Option<Option<VersionId>>> {
    let row = sqlx::query("SELECT head FROM storages WHERE id = $1")
        .bind(storage.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(|row| {
            Columns {
                table: "storages",
                row,
            }
            .parse_opt("head")
        })
        .transpose()
}

/// A version of a storage.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    storage: StorageId,
    id: VersionId,
) -> Result<Option<StorageVersionRecord>> {
    let row = sqlx::query(BY_ID)
        .bind(storage.to_string())
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(record).transpose()
}

/// Records a version as the head; one with its id that exists keeps its row and is no longer
/// salvaged.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    version: &StorageVersionRecord,
) -> Result<StorageVersionRecord> {
    insert(connection, version).await?;
    sqlx::query("UPDATE storage_versions SET salvaged = 0 WHERE storage_id = $1 AND id = $2")
        .bind(version.storage_id.to_string())
        .bind(version.id.to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE storages SET head = $2, updated_at = $3 \
         WHERE id = $1 AND (head IS NULL OR head <> $2)",
    )
    .bind(version.storage_id.to_string())
    .bind(version.id.to_string())
    .bind(version.created_at.micros())
    .execute(&mut *connection)
    .await?;
    let recorded = find(connection, version.storage_id, version.id).await?;
    recorded.ok_or(StoreError::Corrupt {
        table: "storage_versions",
        column: "id",
    })
}

/// Records a version, unless there is one with its id.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    version: &StorageVersionRecord,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO storage_versions (storage_id, id, manifest_id, size, file_count, message, \
         created_by, created_at, run_id, salvaged) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (storage_id, id) DO NOTHING",
    )
    .bind(version.storage_id.to_string())
    .bind(version.id.to_string())
    .bind(version.manifest_id.to_string())
    .bind(signed(version.size))
    .bind(signed(version.file_count))
    .bind(&version.message)
    .bind(&version.created_by)
    .bind(version.created_at.micros())
    .bind(version.run_id.map(|run| run.to_string()))
    .bind(i64::from(version.salvaged))
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a storage without versions; `false` if its name is taken.
pub(super) async fn storage_insert(
    connection: &mut SqliteConnection,
    storage: &StorageRecord,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO storages (id, user_id, kind, name, head, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, NULL, $5, $6) ON CONFLICT (user_id, kind, name) DO NOTHING",
    )
    .bind(storage.id.to_string())
    .bind(storage.user_id.to_string())
    .bind(storage.kind.as_str())
    .bind(&storage.name)
    .bind(storage.created_at.micros())
    .bind(storage.updated_at.micros())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The artifact of this name, made with `id` if there is none.
pub(super) async fn artifact_ensure(
    connection: &mut SqliteConnection,
    user: UserId,
    name: &str,
    id: StorageId,
    now: Timestamp,
) -> Result<StorageId> {
    let wanted = StorageRecord {
        id,
        user_id: user,
        kind: StorageKind::Artifact,
        name: name.to_owned(),
        head: None,
        created_at: now,
        updated_at: now,
    };
    if storage_insert(connection, &wanted).await? {
        return Ok(id);
    }
    let found = storage_named(connection, user, StorageKind::Artifact, name).await?;
    found.ok_or(StoreError::Corrupt {
        table: "storages",
        column: "name",
    })
}

/// The storage that has this name now.
pub(super) async fn storage_named(
    connection: &mut SqliteConnection,
    user: UserId,
    kind: StorageKind,
    name: &str,
) -> Result<Option<StorageId>> {
    let row = sqlx::query("SELECT id FROM storages WHERE user_id = $1 AND kind = $2 AND name = $3")
        .bind(user.to_string())
        .bind(kind.as_str())
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(|row| {
            Columns {
                table: "storages",
                row,
            }
            .parse("id")
        })
        .transpose()
}

/// A row of `storage_versions`.
pub(super) fn record(row: &SqliteRow) -> Result<StorageVersionRecord> {
    let columns = Columns {
        table: "storage_versions",
        row,
    };
    Ok(StorageVersionRecord {
        id: columns.parse("id")?,
        storage_id: columns.parse("storage_id")?,
        manifest_id: columns.parse("manifest_id")?,
        size: columns.integer("size")?,
        file_count: columns.integer("file_count")?,
        message: columns.get("message")?,
        created_by: columns.get("created_by")?,
        created_at: columns.time("created_at")?,
        run_id: columns.parse_opt("run_id")?,
        salvaged: columns.get("salvaged")?,
    })
}
