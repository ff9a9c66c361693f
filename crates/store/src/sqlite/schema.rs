//! The tables: numbered migrations, applied in order, each exactly once.

use sqlx::Connection;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnection;

use crate::error::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("src/sqlite/migrations");

/// Brings the schema up to date in one transaction, so that two processes that open a new
/// database at a time do not meet half-way.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let found = present(&mut transaction).await?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    MIGRATIONS
        .run_direct(None, &mut *transaction, false)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// The newest migration that the database has; 0 if it is new.
async fn present(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let table: Option<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if table.is_none() {
        return Ok(0);
    }
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await?;
    Ok(newest.unwrap_or(0))
}
