//! `last_used_at` of tokens.

use vm0_model::{Timestamp, TokenId};

use crate::app::App;
use crate::clock;

/// Records the uses whose turn it is.
pub(super) async fn record_due(app: &App) {
    record(app, app.token_use.due(clock::now())).await;
}

/// Records all uses that are not recorded yet.
pub(crate) async fn record_all(app: &App) {
    record(app, app.token_use.unrecorded()).await;
}

/// One write for all; what fails is tried again the next time.
async fn record(app: &App, uses: Vec<(TokenId, Timestamp)>) {
    if uses.is_empty() {
        return;
    }
    match app.store.token_touch(uses.clone()).await {
        Ok(()) => app.token_use.recorded(&uses, clock::now()),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the use of tokens was not recorded");
        }
    }
}
