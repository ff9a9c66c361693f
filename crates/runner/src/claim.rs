//! Asking for runs while a slot is free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use vm0_client::ClientError;
use vm0_model::wire::runner::{Claim, ClaimRequest};

use crate::execution::execute;
use crate::host::Host;

/// Between two tries to reach a lost server.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A claim that is on its way when the runner stops is waited for this long.
const LAST_CLAIM_PATIENCE: Duration = Duration::from_millis(200);

/// Claims and executes runs, at most `slots` at a time, until the runner drains.
///
/// # Errors
/// When the server refuses the token.
pub(crate) async fn claim_runs(
    host: Arc<Host>,
    slots: usize,
    runs: TaskTracker,
) -> Result<(), ClientError> {
    let slots = Arc::new(Semaphore::new(slots));
    let mut pause = PAUSE_MIN;
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("nobody closes it"),
            () = host.stop.drain.cancelled() => return Ok(()),
        };
        match claim(&host).await {
            Ok(Some(claim)) => {
                let host = Arc::clone(&host);
                runs.spawn(async move {
                    execute(host, claim).await;
                    drop(slot);
                });
                pause = PAUSE_MIN;
            }
            Ok(None) => pause = PAUSE_MIN,
            Err(error) if matches!(error.status(), Some(401 | 403)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "failed to ask for a run; trying again in {pause:?}");
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                    () = host.stop.drain.cancelled() => return Ok(()),
                }
            }
        }
        if host.stop.drain.is_cancelled() {
            return Ok(());
        }
    }
}

async fn claim(host: &Host) -> Result<Option<Claim>, ClientError> {
    let request = ClaimRequest {
        runner: host.name.clone(),
        sandbox: host.backend.kind().to_owned(),
    };
    let claim = host.client.claim(&request);
    let drained = async {
        host.stop.drain.cancelled().await;
        tokio::time::sleep(LAST_CLAIM_PATIENCE).await;
    };
    tokio::select! {
        claim = claim => claim,
        () = drained => Ok(None),
    }
}
