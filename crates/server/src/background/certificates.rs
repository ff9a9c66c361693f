//! A certificate that was replaced is used without a word from the operator.

use vm0_model::limits::TLS_RELOAD_INTERVAL;

use crate::tls::Tls;

/// Looks at the files, for ever.
pub(super) async fn follow(tls: Tls) {
    let mut ticks = tokio::time::interval(TLS_RELOAD_INTERVAL);
    loop {
        ticks.tick().await;
        let files = tls.clone();
        let reloaded = tokio::task::spawn_blocking(move || files.reload()).await;
        match reloaded {
            Ok(Ok(true)) => tracing::info!("another certificate is in use"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a replaced certificate is not used");
            }
            Err(error) => tracing::error!(%error, "the certificate files were not looked at"),
        }
    }
}
