//! Repeating a call that changes nothing when it is repeated.

use std::time::Duration;

use crate::error::ClientError;

/// Waits between the tries of one call (CLI 1.5).
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Whether a call is repeated when the server cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The caller decides what to do.
    Never,
    /// Three tries, 1 s and 2 s apart.
    WhenUnreachable,
}

/// Calls `call` until it succeeds, fails for good, or was tried often enough.
pub(crate) async fn retrying<T>(
    retry: Retry,
    mut call: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let waits: &[Duration] = if retry == Retry::Never { &[] } else { &WAITS };
    for wait in waits {
        match call().await {
            Err(error) if error.is_unreachable() => {
                tracing::debug!(%error, "trying again in {wait:?}");
                tokio::time::sleep(*wait).await;
            }
            result => return result,
        }
    }
    call().await
}
