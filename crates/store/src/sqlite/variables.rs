//! Stored variables.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::UserId;

use crate::contract::VariableStore;
use crate::error::StoreError;
use crate::record::{ListPage, PutOutcome, VariablePut, VariableRecord};
use crate::sqlite::columns::{Columns, Position, all};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_variable {
    ($rest:literal) => {
        concat!(
            "SELECT name, value, created_at, updated_at FROM variables WHERE ",
            $rest
        )
    };
}

pub(super) const LIST: &str = select_variable!(
    "user_id = $1 AND (created_at, name) < ($2, $3) ORDER BY created_at DESC, name DESC LIMIT $4"
);
pub(super) const VIEW: &str = select_variable!("user_id = $1 AND name = $2");
pub(super) const VALUE: &str = "SELECT value FROM variables WHERE user_id = $1 AND name = $2";

#[async_trait]
impl VariableStore for SqliteStore {
    async fn variable_put(&self, put: VariablePut) -> Result<PutOutcome<VariableRecord>> {
        self.write(move |connection| variable_put(connection, put).boxed())
            .await
    }

    async fn variable_list(&self, user: UserId, page: ListPage) -> Result<Vec<VariableRecord>> {
        let position = Position::of(&page);
        let rows = sqlx::query(LIST)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, variable)
    }

    async fn variable_view(&self, user: UserId, name: &str) -> Result<Option<VariableRecord>> {
        let row = sqlx::query(VIEW)
            .bind(user.to_string())
            .bind(name.to_owned())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(variable).transpose()
    }

    async fn variable_delete(&self, user: UserId, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |connection| variable_delete(connection, user, name).boxed())
            .await
    }

    async fn variable_find(
        &self,
        user: UserId,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>> {
        let names = names.clone();
        self.read(move |connection| variable_find(connection, user, names).boxed())
            .await
    }
}

async fn variable_put(
    connection: &mut SqliteConnection,
    put: VariablePut,
) -> Result<PutOutcome<VariableRecord>> {
    let known = sqlx::query(VIEW)
        .bind(put.user_id.to_string())
        .bind(&put.name)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO variables (user_id, name, created_at, updated_at, value) \
         VALUES ($1, $2, $3, $3, $4) ON CONFLICT (user_id, name) DO UPDATE SET \
         updated_at = excluded.updated_at, value = excluded.value",
    )
    .bind(put.user_id.to_string())
    .bind(&put.name)
    .bind(put.now.micros())
    .bind(&put.value)
    .execute(connection)
    .await?;
    let updated_at = put.now;
    Ok(match known.as_ref().map(variable).transpose()? {
        Some(known) => PutOutcome::Replaced(VariableRecord {
            value: put.value,
            updated_at,
            ..known
        }),
        None => PutOutcome::Created(VariableRecord {
            name: put.name,
            value: put.value,
            created_at: updated_at,
            updated_at,
        }),
    })
}

async fn variable_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    name: String,
) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM variables WHERE user_id = $1 AND name = $2")
        .bind(user.to_string())
        .bind(name)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

async fn variable_find(
    connection: &mut SqliteConnection,
    user: UserId,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for name in names {
        let value: Option<String> = sqlx::query_scalar(VALUE)
            .bind(user.to_string())
            .bind(&name)
            .fetch_optional(&mut *connection)
            .await?;
        found.extend(value.map(|value| (name, value)));
    }
    Ok(found)
}

fn variable(row: &SqliteRow) -> Result<VariableRecord> {
    let columns = Columns {
        table: "variables",
        row,
    };
    Ok(VariableRecord {
        name: columns.get("name")?,
        value: columns.get("value")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
