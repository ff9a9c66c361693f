//! Device codes, sign-in links and page sessions that have expired.

use vm0_model::limits::EXPIRED_KEPT;

use crate::app::App;
use crate::clock;

/// Removes what expired so long ago that no page speaks of it any more.
pub(super) async fn expire(app: &App) {
    let before = clock::before(clock::now(), EXPIRED_KEPT);
    if let Err(error) = app.store.sign_in_expire(before).await {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "expired sessions were not removed");
    }
}
