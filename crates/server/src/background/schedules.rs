//! Runs that are due.

use crate::app::{App, Phase};

/// Makes the runs of schedules that are due.
pub(super) async fn run_due(app: &App) {
    if app.phase() != Phase::Serving {
        return;
    }
    if let Err(error) = app.schedule_run_due().await {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "schedules were not looked at");
    }
}
