//! What nothing refers to.

use vm0_store::record::AuditAction;

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
    if let Some(summary) = report.summary() {
        let noted = app
            .acting_server()
            .audit_note(AuditAction::Gc, summary)
            .await;
        if let Err(error) = noted {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a removal was not written to the audit");
        }
    }
    if let Err(error) = swept {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "garbage was not removed");
    }
}
