//! Stored secrets.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::UserId;

use crate::contract::SecretStore;
use crate::error::StoreError;
use crate::record::{AuditAction, ListPage, PutOutcome, SealedSecret, SecretPut, SecretRecord};
use crate::sqlite::audit;
use crate::sqlite::columns::{Columns, Position, all};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_secret {
    ($rest:literal) => {
        concat!(
            "SELECT name, created_at, updated_at FROM secrets WHERE ",
            $rest
        )
    };
}

pub(super) const LIST: &str = select_secret!(
    "user_id = $1 AND (created_at, name) < ($2, $3) ORDER BY created_at DESC, name DESC LIMIT $4"
);
pub(super) const VIEW: &str = select_secret!("user_id = $1 AND name = $2");
pub(super) const VALUE: &str = "SELECT sealed FROM secrets WHERE user_id = $1 AND name = $2";

#[async_trait]
impl SecretStore for SqliteStore {
    async fn secret_put(&self, put: SecretPut) -> Result<PutOutcome<SecretRecord>> {
        self.write(move |connection| secret_put(connection, put).boxed())
            .await
    }

    async fn secret_list(&self, user: UserId, page: ListPage) -> Result<Vec<SecretRecord>> {
        let position = Position::of(&page);
        let rows = sqlx::query(LIST)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, secret)
    }

    async fn secret_view(&self, user: UserId, name: &str) -> Result<Option<SecretRecord>> {
        let row = sqlx::query(VIEW)
            .bind(user.to_string())
            .bind(name.to_owned())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(secret).transpose()
    }

    async fn secret_delete(&self, user: UserId, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |connection| secret_delete(connection, user, name).boxed())
            .await
    }

    async fn secret_find(
        &self,
        user: UserId,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<u8>>> {
        let names = names.clone();
        self.read(move |connection| secret_find(connection, user, names).boxed())
            .await
    }

    async fn secret_sample(&self, limit: u32) -> Result<Vec<SealedSecret>> {
        let rows = sqlx::query("SELECT user_id, name, sealed FROM secrets LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, |row| {
            let columns = columns(row);
            Ok(SealedSecret {
                user_id: columns.parse("user_id")?,
                name: columns.get("name")?,
                sealed: columns.get("sealed")?,
            })
        })
    }
}

async fn secret_put(
    connection: &mut SqliteConnection,
    put: SecretPut,
) -> Result<PutOutcome<SecretRecord>> {
    let known = sqlx::query(VIEW)
        .bind(put.user_id.to_string())
        .bind(&put.name)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO secrets (user_id, name, created_at, updated_at, sealed) \
         VALUES ($1, $2, $3, $3, $4) ON CONFLICT (user_id, name) DO UPDATE SET \
         updated_at = excluded.updated_at, sealed = excluded.sealed",
    )
    .bind(put.user_id.to_string())
    .bind(&put.name)
    .bind(put.now.micros())
    .bind(put.sealed)
    .execute(&mut *connection)
    .await?;
    let object = || format!("secret {}", put.name);
    audit::note(connection, AuditAction::SecretSet, object).await?;
    let updated_at = put.now;
    Ok(match known.as_ref().map(secret).transpose()? {
        Some(known) => PutOutcome::Replaced(SecretRecord {
            updated_at,
            ..known
        }),
        None => PutOutcome::Created(SecretRecord {
            name: put.name,
            created_at: updated_at,
            updated_at,
        }),
    })
}

async fn secret_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    name: String,
) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM secrets WHERE user_id = $1 AND name = $2")
        .bind(user.to_string())
        .bind(&name)
        .execute(&mut *connection)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let object = || format!("secret {name}");
    audit::note(connection, AuditAction::SecretDelete, object).await?;
    Ok(true)
}

async fn secret_find(
    connection: &mut SqliteConnection,
    user: UserId,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in names {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(VALUE)
            .bind(user.to_string())
            .bind(&name)
            .fetch_optional(&mut *connection)
            .await?;
        found.extend(sealed.map(|sealed| (name, sealed)));
    }
    Ok(found)
}

const fn columns(row: &SqliteRow) -> Columns<'_> {
    Columns {
        table: "secrets",
        row,
    }
}

fn secret(row: &SqliteRow) -> Result<SecretRecord> {
    let columns = columns(row);
    Ok(SecretRecord {
        name: columns.get("name")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
