//! Network policies of runs.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor, SqliteRow};
use vm0_model::{RunId, RunStatus};

use crate::contract::RunNetworkStore;
use crate::error::StoreError;
use crate::record::{AuditAction, RunNetwork, RunNetworkOutcome, RunNetworkPut};
use crate::sqlite::audit;
use crate::sqlite::columns::Columns;
use crate::sqlite::runs;
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const VIEW: &str = "SELECT revision, policy FROM run_networks WHERE run_id = $1";

#[async_trait]
impl RunNetworkStore for SqliteStore {
    async fn run_network_put(&self, put: RunNetworkPut) -> Result<RunNetworkOutcome> {
        self.write(move |connection| run_network_put(connection, put).boxed())
            .await
    }

    async fn run_network_view(&self, run: RunId) -> Result<Option<RunNetwork>> {
        find(&mut *self.reader().await?, run).await
    }
}

async fn run_network_put(
    connection: &mut SqliteConnection,
    put: RunNetworkPut,
) -> Result<RunNetworkOutcome> {
    let run = runs::find(&mut *connection, put.run_id).await?;
    let Some(run) = run.filter(|run| run.user_id == put.user_id) else {
        return Ok(RunNetworkOutcome::NotFound);
    };
    if run.status.is_terminal() {
        return Ok(RunNetworkOutcome::Terminal(run.status));
    }
    let begun = run.status == RunStatus::Running;
    if begun && !put.has_network && find(&mut *connection, run.id).await?.is_none() {
        return Ok(RunNetworkOutcome::NoNetwork);
    }
    let row = sqlx::query(
        "INSERT INTO run_networks (run_id, revision, policy, changed_at) VALUES ($1, 1, $2, $3) \
         ON CONFLICT (run_id) DO UPDATE SET revision = revision + 1, policy = excluded.policy, \
         changed_at = excluded.changed_at RETURNING revision, policy",
    )
    .bind(run.id.to_string())
    .bind(put.policy)
    .bind(put.now.micros())
    .fetch_one(&mut *connection)
    .await?;
    let object = || format!("run {}", run.id);
    audit::note(connection, AuditAction::RunNetwork, object).await?;
    record(&row).map(RunNetworkOutcome::Changed)
}

/// What took the place of the configuration's policy.
pub(super) async fn find(
    executor: impl SqliteExecutor<'_>,
    run: RunId,
) -> Result<Option<RunNetwork>> {
    let row = sqlx::query(VIEW)
        .bind(run.to_string())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(record).transpose()
}

fn record(row: &SqliteRow) -> Result<RunNetwork> {
    let columns = Columns {
        table: "run_networks",
        row,
    };
    Ok(RunNetwork {
        revision: columns.integer("revision")?,
        policy: columns.get("policy")?,
    })
}
