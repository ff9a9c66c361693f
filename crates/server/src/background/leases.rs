//! Runs whose runner was not heard of for the length of a lease end as `timeout`.

use vm0_model::RunStatus;

use crate::app::App;
use crate::clock;

/// Ends the runs whose lease has expired and wakes those who watch them.
pub(super) async fn expire(app: &App) {
    match app.store.run_expire(clock::now()).await {
        Ok(runs) => {
            for run in runs {
                tracing::warn!(%run, "the runner of a run was lost");
                app.meters.run_ended(RunStatus::Timeout);
                app.wakeups.run_state(run);
            }
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "leases were not checked"
            );
        }
    }
}
