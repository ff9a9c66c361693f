//! What is old: telemetry of runs that ended long ago, and versions salvaged long ago.

use vm0_model::{RunId, Timestamp, limits};
use vm0_store::record::Extent;

use super::collector::Collector;
use super::error::GcError;
use super::report::GcReport;

/// Runs looked at together.
const RUNS: u32 = 100;
/// Rows removed in one transaction, which others wait for.
const ROWS: u32 = 2_000;

impl Collector<'_> {
    /// Removes events, logs and metrics of runs that ended before a time.
    pub(super) async fn remove_telemetry(
        &self,
        before: Timestamp,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        let mut after: Option<RunId> = None;
        loop {
            let runs = self.store.run_list_ended(before, after, RUNS).await?;
            let Some(&last) = runs.last() else {
                return Ok(());
            };
            after = Some(last);
            for run in runs {
                let found = self.store.telemetry_view(run).await?;
                let kinds = [
                    ("events", found.events),
                    ("logs", found.logs),
                    ("metrics", found.metrics),
                ];
                for (kind, Extent { count, bytes }) in kinds {
                    report.add(kind, count, bytes);
                }
                while !self.dry_run && self.store.telemetry_remove(run, ROWS).await? > 0 {}
            }
        }
    }

    /// Removes the rows of versions that were salvaged before a time and that nothing needs. Their
    /// bytes are condemned by the sweep that follows.
    pub(super) async fn remove_salvaged(
        &self,
        before: Timestamp,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        const KIND: &str = "salvaged version";
        let found = self.store.salvaged_list(before).await?;
        if self.dry_run {
            report.add(KIND, found.len() as u64, 0);
            return Ok(());
        }
        for batch in found.chunks(limits::GC_BATCH) {
            // A commit that makes such a version the head again holds the other guard.
            let Some(guard) = self.blobs.sweep(limits::GC_LOCK_WAIT).await? else {
                report.unfinished = true;
                return Ok(());
            };
            for version in batch {
                let (storage, id) = (version.storage_id, version.id);
                if self.store.salvaged_remove(storage, id, before).await? {
                    report.add(KIND, 1, 0);
                }
            }
            drop(guard);
            tokio::time::sleep(limits::GC_PAUSE).await;
        }
        Ok(())
    }
}
