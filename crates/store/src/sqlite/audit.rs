//! The record of administrative actions.
//!
//! A line is written by the transaction of the action itself. Who acts is not an argument of every
//! transaction: a handle made by [`AuditStore::acting`] says it for all its transactions, and
//! [`note`] finds it in the task that runs one.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::Timestamp;

use crate::contract::{AuditStore, Store};
use crate::error::StoreError;
use crate::record::{Acting, AuditAction, AuditRecord};
use crate::sqlite::columns::{Columns, all};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const LIST: &str = "SELECT seq, at, who, token_id, address, action, object FROM audit \
     WHERE (at, seq) > ($1, $2) ORDER BY at, seq LIMIT $3";

tokio::task_local! {
    static ACTING: Arc<Acting>;
}

#[async_trait]
impl AuditStore for SqliteStore {
    fn acting(&self, by: Acting) -> Arc<dyn Store> {
        Arc::new(self.clone().with_acting(by))
    }

    async fn audit_note(&self, action: AuditAction, object: String) -> Result<()> {
        self.write(move |connection| {
            async move { note(connection, action, || object).await }.boxed()
        })
        .await
    }

    async fn audit_list(
        &self,
        since: Timestamp,
        after: Option<(Timestamp, u64)>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>> {
        let after = after.map(|(at, seq)| (at.micros(), i64::try_from(seq).unwrap_or(i64::MAX)));
        let (at, seq) = after.unwrap_or((since.micros() - 1, i64::MAX));
        let rows = sqlx::query(LIST)
            .bind(at)
            .bind(seq)
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, record)
    }
}

/// Runs a transaction in which [`note`] knows who acts.
pub(super) async fn scope<T>(by: Option<Arc<Acting>>, work: BoxFuture<'_, Result<T>>) -> Result<T> {
    match by {
        Some(by) => ACTING.scope(by, work).await,
        None => work.await,
    }
}

/// Writes a line, if the transaction is one of a handle that says who acts.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    action: AuditAction,
    object: impl FnOnce() -> String,
) -> Result<()> {
    let Ok(by) = ACTING.try_with(Arc::clone) else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO audit (at, who, token_id, address, action, object) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(by.at.micros())
    .bind(&by.who)
    .bind(by.token.map(|token| token.to_string()))
    .bind(&by.address)
    .bind(action.as_str())
    .bind(object())
    .execute(connection)
    .await?;
    Ok(())
}

fn record(row: &SqliteRow) -> Result<AuditRecord> {
    let columns = Columns {
        table: "audit",
        row,
    };
    Ok(AuditRecord {
        seq: columns.integer("seq")?,
        acting: Acting {
            who: columns.get("who")?,
            token: columns.parse_opt("token_id")?,
            address: columns.get("address")?,
            at: columns.time("at")?,
        },
        action: columns.parse("action")?,
        object: columns.get("object")?,
    })
}
