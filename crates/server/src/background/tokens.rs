//! `last_used_at` of tokens.

use crate::app::App;

/// Records the uses noted since the last time, one write for each token.
pub(crate) async fn record(app: &App) {
    for (token, used_at) in app.token_use.take() {
        if let Err(error) = app.store.token_touch(token, used_at).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the use of a token was not recorded");
        }
    }
}
