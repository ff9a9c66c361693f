//! Calls about one run, tried again for as long as the run is this runner's.

use std::future::Future;
use std::time::Duration;

use vm0_client::{ClientError, RunnerClient};
use vm0_model::{Epoch, RunId};

use crate::lease::{self, Lease};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The server, as far as one run goes. Clones share the lease.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) client: RunnerClient,
    pub(crate) run_id: RunId,
    pub(crate) epoch: Epoch,
    pub(crate) lease: Lease,
}

/// The server will not take it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The run is another's, or gone.
    #[error("keep a run that is no longer this runner's")]
    Lost,
    /// The server refuses it, and would again.
    #[error(transparent)]
    Refused(Box<ClientError>),
}

impl Link {
    /// Calls until it succeeds or cannot any more.
    pub(crate) async fn call<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut pause = PAUSE_MIN;
        loop {
            if self.lease.is_lost() {
                return Err(LinkError::Lost);
            }
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_transient() => {
                    tracing::warn!(run = %self.run_id, %error, "trying again in {pause:?}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) if lease::is_lost(&error) => {
                    self.lease.lose();
                    return Err(LinkError::Lost);
                }
                Err(error) => return Err(LinkError::Refused(Box::new(error))),
            }
        }
    }
}
