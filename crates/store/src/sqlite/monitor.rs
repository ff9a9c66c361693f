//! What an operator watches.

use async_trait::async_trait;
use futures::FutureExt;

use crate::contract::MonitorStore;
use crate::error::StoreError;
use crate::record::ActiveRuns;
use crate::sqlite::store::SqliteStore;

/// The queue is an index of its own.
pub(super) const COUNT_PENDING: &str = "SELECT count(*) FROM runs WHERE status = 'pending'";
/// A lease has an expiry exactly while its run is running.
pub(super) const COUNT_RUNNING: &str =
    "SELECT count(*) FROM run_progress WHERE expires_at IS NOT NULL AND expires_at > 0";

#[async_trait]
impl MonitorStore for SqliteStore {
    async fn run_count_all(&self) -> Result<ActiveRuns, StoreError> {
        self.read(|connection| {
            async move {
                let pending: i64 = sqlx::query_scalar(COUNT_PENDING)
                    .fetch_one(&mut *connection)
                    .await?;
                let running: i64 = sqlx::query_scalar(COUNT_RUNNING)
                    .fetch_one(connection)
                    .await?;
                Ok(ActiveRuns {
                    pending: pending.unsigned_abs(),
                    running: running.unsigned_abs(),
                })
            }
            .boxed()
        })
        .await
    }

    fn write_queue(&self) -> u64 {
        self.waiting_writes()
    }
}
