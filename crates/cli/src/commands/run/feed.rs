//! The events of a run as messages of a task of its own, so that waiting for something else never
//! disturbs the stream.

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use vm0_client::{Client, ClientError, RunEvent};
use vm0_model::id::RunId;

/// Events that may wait to be shown.
const WAITING_MAX: usize = 256;

/// The events of one run. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct Feed {
    events: mpsc::Receiver<Result<RunEvent, ClientError>>,
    task: AbortHandle,
}

impl Feed {
    /// Follows `run` from the output after `after`.
    pub(crate) fn open(client: &Client, run: RunId, after: u64) -> Self {
        let mut follow = client.run_follow(run, after);
        let (sender, events) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            while let Some(event) = follow.next().await.transpose() {
                let failed = event.is_err();
                if sender.send(event).await.is_err() || failed {
                    return;
                }
            }
        });
        Self {
            events,
            task: task.abort_handle(),
        }
    }

    /// The next event; `None` after the last. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<RunEvent, ClientError>> {
        self.events.recv().await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}
