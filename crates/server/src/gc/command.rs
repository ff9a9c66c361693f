//! `vm0 gc`, beside a running server or without one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use vm0_blob::Blobs;
use vm0_model::limits;
use vm0_store::record::AuditAction;
use vm0_store::{AuditStore, GarbageStore, SqliteStore};

use super::collector::Collector;
use super::error::GcError;
use super::report::GcReport;
use crate::app::operator;
use crate::clock;
use crate::data_dir::DataDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// Change nothing, only say what would be removed.
    pub dry_run: bool,
    /// Also remove telemetry of runs that ended so many days ago, and versions salvaged then.
    pub older_than_days: Option<u32>,
    /// How long what nothing refers to is kept.
    pub grace: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            older_than_days: None,
            grace: limits::GC_GRACE,
        }
    }
}

/// Removes what nothing refers to from a data directory.
///
/// # Errors
///
/// When the data directory, its database or its objects cannot be used.
pub async fn gc(data_dir: &Path, options: GcOptions) -> Result<GcReport, GcError> {
    let directory = DataDir::open(data_dir)?;
    let store = SqliteStore::open(&directory.database()).await?;
    let blobs = Blobs::local(&directory.objects())?;
    let collector = Collector {
        store: &store,
        blobs: &blobs,
        grace: options.grace,
        dry_run: options.dry_run,
    };
    let mut report = GcReport::new(options.dry_run);
    if let Some(days) = options.older_than_days {
        let age = (DAY * days).max(options.grace);
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2_000);
        let before = clock::now().plus_millis(-age);
        collector.remove_telemetry(before, &mut report).await?;
        collector.remove_salvaged(before, &mut report).await?;
    }
    collector.sweep(&mut report).await?;
    let references = store.references().await?;
    let archives = vm0_blob::archive_collect(
        &directory.archives(),
        |manifest| references.manifests.contains(&manifest),
        SystemTime::now() - options.grace,
        options.dry_run,
    );
    let archives = archives.map_err(GcError::Archives)?;
    let bytes = archives.iter().sum();
    report.add("kept archive", archives.len() as u64, bytes);
    if let Some(summary) = report.summary() {
        let acting = store.acting(operator());
        acting.audit_note(AuditAction::Gc, summary).await?;
    }
    Ok(report)
}
