//! Upload sessions that were never committed.

use crate::app::App;
use crate::clock;

/// Sessions removed at a time.
const BATCH: u32 = 100;

/// Removes expired sessions and what was put under them.
pub(super) async fn expire(app: &App) {
    let expired = match app.store.upload_expire(clock::now(), BATCH).await {
        Ok(expired) => expired,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "upload sessions were not checked");
            return;
        }
    };
    for id in expired {
        app.upload_discard(&id).await;
    }
}
