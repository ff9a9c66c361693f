//! Volumes, artifacts, their versions and uploads.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{StorageId, StorageKind, Timestamp, UserId, VersionId};

use crate::contract::StorageStore;
use crate::error::StoreError;
use crate::record::{
    AuditAction, Key, ListPage, StorageCommit, StorageCommitOutcome, StorageRecord,
    StorageVersionRecord, UploadRecord,
};
use crate::sqlite::audit;
use crate::sqlite::columns::{Columns, Position, all, prefix_end};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::versions;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_storage {
    ($($rest:literal)+) => {
        concat!(
            "SELECT s.id AS owner_id, s.user_id, s.kind, s.name, s.head, s.created_at AS owner_created_at, ",
            "s.updated_at, v.storage_id, v.id, v.manifest_id, v.size, v.file_count, v.message, ",
            "v.created_by, v.created_at, v.run_id, v.salvaged ",
            "FROM storages s LEFT JOIN storage_versions v ON v.storage_id = s.id AND v.id = s.head ",
            "WHERE ", $($rest),+
        )
    };
}

pub(super) const LIST: &str = select_storage!(
    "s.user_id = $1 AND s.kind = $2 AND (s.created_at, s.id) < ($3, $4) "
    "ORDER BY s.created_at DESC, s.id DESC LIMIT $5"
);
pub(super) const LIST_BY_NAME: &str = select_storage!(
    "s.user_id = $1 AND s.kind = $2 AND s.name = $6 AND (s.created_at, s.id) < ($3, $4) LIMIT $5"
);
pub(super) const BY_ID: &str = select_storage!("s.user_id = $1 AND s.kind = $2 AND s.id = $3");
pub(super) const BY_NAME: &str = select_storage!("s.user_id = $1 AND s.kind = $2 AND s.name = $3");
pub(super) const UPLOADS: &str = "SELECT id FROM uploads WHERE storage_id = $1";
pub(super) const UPLOAD_FIND: &str = "SELECT id, storage_id, expires_at, committed, created_at \
     FROM uploads WHERE storage_id = $1 AND id >= $2 AND id < $3 AND committed IS NULL \
     AND expires_at > $4 LIMIT 1";
pub(super) const UPLOAD_EXPIRE: &str = "DELETE FROM uploads WHERE id IN \
     (SELECT id FROM uploads WHERE expires_at < $1 ORDER BY expires_at LIMIT $2) RETURNING id";

#[async_trait]
impl StorageStore for SqliteStore {
    async fn storage_create(&self, storage: StorageRecord) -> Result<Option<StorageRecord>> {
        self.write(move |connection| {
            async move {
                let made = versions::storage_insert(connection, &storage).await?;
                Ok(made.then_some(StorageRecord {
                    head: None,
                    ..storage
                }))
            }
            .boxed()
        })
        .await
    }

    async fn storage_delete(
        &self,
        user: UserId,
        kind: StorageKind,
        id: StorageId,
    ) -> Result<Option<Vec<String>>> {
        self.write(move |connection| storage_delete(connection, user, kind, id).boxed())
            .await
    }

    async fn storage_list(
        &self,
        user: UserId,
        kind: StorageKind,
        name: Option<&str>,
        page: ListPage,
    ) -> Result<Vec<StorageRecord>> {
        let position = Position::of(&page);
        let sql = if name.is_some() { LIST_BY_NAME } else { LIST };
        let mut query = sqlx::query(sql)
            .bind(user.to_string())
            .bind(kind.as_str())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit);
        if let Some(name) = name {
            query = query.bind(name.to_owned());
        }
        all(&query.fetch_all(&mut *self.reader().await?).await?, storage)
    }

    async fn storage_view(
        &self,
        user: UserId,
        kind: StorageKind,
        key: &Key<StorageId>,
    ) -> Result<Option<StorageRecord>> {
        let (sql, value) = match key {
            Key::Id(id) => (BY_ID, id.to_string()),
            Key::Name(name) => (BY_NAME, name.clone()),
        };
        let row = sqlx::query(sql)
            .bind(user.to_string())
            .bind(kind.as_str())
            .bind(value)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(storage).transpose()
    }

    async fn storage_version_list(
        &self,
        storage: StorageId,
        page: ListPage,
    ) -> Result<Vec<StorageVersionRecord>> {
        let position = Position::of(&page);
        let rows = sqlx::query(versions::LIST)
            .bind(storage.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, versions::record)
    }

    async fn storage_version_match(
        &self,
        storage: StorageId,
        prefix: &str,
    ) -> Result<Vec<StorageVersionRecord>> {
        let rows = sqlx::query(versions::MATCH)
            .bind(storage.to_string())
            .bind(prefix.to_owned())
            .bind(prefix_end(prefix))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, versions::record)
    }

    async fn storage_commit(&self, commit: StorageCommit) -> Result<StorageCommitOutcome> {
        self.write(move |connection| storage_commit(connection, commit).boxed())
            .await
    }

    async fn upload_create(&self, upload: UploadRecord) -> Result<bool> {
        self.write(move |connection| upload_create(connection, upload).boxed())
            .await
    }

    async fn upload_view(&self, id: &str) -> Result<Option<UploadRecord>> {
        let row = sqlx::query(
            "SELECT id, storage_id, expires_at, committed, created_at FROM uploads WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        row.as_ref().map(upload).transpose()
    }

    async fn upload_find(
        &self,
        storage: StorageId,
        prefix: &str,
        valid_until: Timestamp,
    ) -> Result<Option<UploadRecord>> {
        let row = sqlx::query(UPLOAD_FIND)
            .bind(storage.to_string())
            .bind(prefix.to_owned())
            .bind(prefix_end(prefix))
            .bind(valid_until.micros())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(upload).transpose()
    }

    async fn upload_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<String>> {
        self.write(move |connection| upload_expire(connection, now, limit).boxed())
            .await
    }
}

async fn storage_commit(
    connection: &mut SqliteConnection,
    commit: StorageCommit,
) -> Result<StorageCommitOutcome> {
    let StorageCommit {
        version,
        expected,
        upload,
    } = commit;
    let Some(head) = versions::head(connection, version.storage_id).await? else {
        return Ok(StorageCommitOutcome::Gone);
    };
    if expected.is_some_and(|expected| head != expected && head != Some(version.id)) {
        return Ok(StorageCommitOutcome::Conflict);
    }
    let recorded = versions::commit(connection, &version).await?;
    if let Some(upload) = upload {
        sqlx::query("UPDATE uploads SET committed = $2 WHERE id = $1")
            .bind(upload)
            .bind(version.id.to_string())
            .execute(connection)
            .await?;
    }
    Ok(StorageCommitOutcome::Committed(recorded))
}

async fn storage_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    kind: StorageKind,
    id: StorageId,
) -> Result<Option<Vec<String>>> {
    let uploads = sqlx::query_scalar(UPLOADS)
        .bind(id.to_string())
        .fetch_all(&mut *connection)
        .await?;
    let name: Option<String> = sqlx::query_scalar(
        "DELETE FROM storages WHERE user_id = $1 AND kind = $2 AND id = $3 RETURNING name",
    )
    .bind(user.to_string())
    .bind(kind.as_str())
    .bind(id.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(name) = name else {
        return Ok(None);
    };
    let object = || format!("{kind} {name} {id}");
    audit::note(connection, AuditAction::StorageDelete, object).await?;
    Ok(Some(uploads))
}

async fn upload_create(connection: &mut SqliteConnection, upload: UploadRecord) -> Result<bool> {
    if versions::head(connection, upload.storage_id)
        .await?
        .is_none()
    {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO uploads (id, storage_id, expires_at, committed, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(upload.id)
    .bind(upload.storage_id.to_string())
    .bind(upload.expires_at.micros())
    .bind(
        upload
            .committed
            .map(|version: VersionId| version.to_string()),
    )
    .bind(upload.created_at.micros())
    .execute(connection)
    .await?;
    Ok(true)
}

async fn upload_expire(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<String>> {
    let rows = sqlx::query(UPLOAD_EXPIRE)
        .bind(now.micros())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

fn storage(row: &SqliteRow) -> Result<StorageRecord> {
    let columns = Columns {
        table: "storages",
        row,
    };
    let head: Option<VersionId> = columns.parse_opt("head")?;
    Ok(StorageRecord {
        id: columns.parse("owner_id")?,
        user_id: columns.parse("user_id")?,
        kind: kind(&columns)?,
        name: columns.get("name")?,
        head: head.map(|_| versions::record(row)).transpose()?,
        created_at: columns.time("owner_created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn kind(columns: &Columns<'_>) -> Result<StorageKind> {
    let text: &str = columns.get("kind")?;
    [StorageKind::Volume, StorageKind::Artifact]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| columns.corrupt("kind"))
}

fn upload(row: &SqliteRow) -> Result<UploadRecord> {
    let columns = Columns {
        table: "uploads",
        row,
    };
    Ok(UploadRecord {
        id: columns.get("id")?,
        storage_id: columns.parse("storage_id")?,
        expires_at: columns.time("expires_at")?,
        committed: columns.parse_opt("committed")?,
        created_at: columns.time("created_at")?,
    })
}
