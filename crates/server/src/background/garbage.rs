//! What nothing refers to.

use crate::app::App;
use crate::gc::{Collector, GcReport};

/// Removes what nothing has referred to for the grace period.
pub(super) async fn collect(app: &App) {
    let collector = Collector {
        store: app.store.as_ref(),
        blobs: &app.blobs,
        grace: app.settings.gc_grace,
        dry_run: false,
    };
    let mut report = GcReport::default();
    let swept = collector.sweep(&mut report).await;
    if report.bytes > 0 {
        tracing::info!(bytes = report.bytes, items = ?report.items, "garbage was removed");
    }
    if let Err(error) = swept {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "garbage was not removed");
    }
}
