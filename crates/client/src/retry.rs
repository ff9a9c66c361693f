//! Repeating a call that changes nothing when it is repeated.

use std::fmt::Display;
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

impl Retry {
    /// The tries of one call.
    pub(crate) fn tries(self) -> Tries {
        Tries {
            waits: if self == Self::Never {
                [].iter()
            } else {
                WAITS.iter()
            },
        }
    }
}

/// What is left of the tries of one call.
#[derive(Debug)]
pub(crate) struct Tries {
    waits: std::slice::Iter<'static, Duration>,
}

impl Tries {
    /// Waits before the next try.
    ///
    /// # Errors
    /// `error` itself, if another try would not help or there is none left.
    pub(crate) async fn wait_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.wait_if(error.is_unreachable(), error).await
    }

    /// The same for an error of another kind, which says itself whether another try may help.
    pub(crate) async fn wait_if<E: Display>(&mut self, may_help: bool, error: E) -> Result<(), E> {
        let wait = self.waits.next().filter(|_| may_help);
        let Some(wait) = wait else {
            return Err(error);
        };
        tracing::debug!(%error, "trying again in {wait:?}");
        tokio::time::sleep(*wait).await;
        Ok(())
    }
}
