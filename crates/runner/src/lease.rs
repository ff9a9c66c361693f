//! The right to a run: kept by renewing, and watched so that a cancel, a command that waits and a
//! change of the network policy are known at once.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use vm0_client::{ClientError, RunnerClient};
use vm0_model::wire::runner::{NetworkChange, RenewRequest, WatchRequest};
use vm0_model::{Epoch, ExecId, RunId, RunStatus, limits};

use crate::outcome::Interruption;

/// Between two tries of a watch that failed.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Whether a run is still this runner's to execute. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    over: watch::Sender<Option<Interruption>>,
    execs: watch::Sender<Vec<ExecId>>,
    network: watch::Sender<Option<NetworkChange>>,
}

impl Lease {
    /// A lease that nobody keeps yet, of a run with this network policy if it is not that of its
    /// configuration.
    pub(crate) fn new(network: Option<NetworkChange>) -> Self {
        Self {
            over: watch::Sender::new(None),
            execs: watch::Sender::new(Vec::new()),
            network: watch::Sender::new(network),
        }
    }

    /// Starts to renew and to watch it.
    pub(crate) fn keep(
        &self,
        client: RunnerClient,
        run: RunId,
        epoch: Epoch,
    ) -> AbortOnDropHandle<()> {
        let keeper = Keeper {
            lease: self.clone(),
            client,
            run,
            request: RenewRequest { epoch },
        };
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::join!(keeper.renew(), keeper.watch());
        }))
    }

    /// Starts to renew it, without watching the run.
    pub(crate) fn keep_renewed(
        &self,
        client: RunnerClient,
        run: RunId,
        epoch: Epoch,
    ) -> AbortOnDropHandle<()> {
        let keeper = Keeper {
            lease: self.clone(),
            client,
            run,
            request: RenewRequest { epoch },
        };
        AbortOnDropHandle::new(tokio::spawn(async move { keeper.renew().await }))
    }

    /// Why it is over, once it is.
    pub(crate) async fn over(&self) -> Interruption {
        let mut view = self.over.subscribe();
        let over = view.wait_for(Option::is_some).await;
        over.expect("the sender is in self")
            .clone()
            .expect("it was waited for")
    }

    /// Whether the server may still take anything of the run.
    pub(crate) fn is_lost(&self) -> bool {
        *self.over.borrow() == Some(Interruption::LeaseLost)
    }

    /// The run has reached `status` on the server.
    pub(crate) fn saw(&self, status: RunStatus) {
        if status.is_terminal() {
            self.end(Interruption::Ended(status));
        }
    }

    /// The run is another's, or gone.
    pub(crate) fn lose(&self) {
        self.over.send_replace(Some(Interruption::LeaseLost));
    }

    fn end(&self, by: Interruption) {
        self.over.send_if_modified(|over| {
            let first = over.is_none();
            if first {
                *over = Some(by);
            }
            first
        });
    }

    fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Commands that wait for this runner, as the server last said.
    pub(crate) fn execs(&self) -> watch::Receiver<Vec<ExecId>> {
        self.execs.subscribe()
    }

    /// The last change of the network policy, as the server last said.
    pub(crate) fn network(&self) -> watch::Receiver<Option<NetworkChange>> {
        self.network.subscribe()
    }

    fn network_revision(&self) -> u64 {
        let network = self.network.borrow();
        network.as_ref().map_or(0, |change| change.revision)
    }
}

/// Whether the answer says that the run is no longer this runner's.
pub(crate) fn is_lost(error: &ClientError) -> bool {
    error.is_stale_epoch() || error.status() == Some(404)
}

struct Keeper {
    lease: Lease,
    client: RunnerClient,
    run: RunId,
    request: RenewRequest,
}

impl Keeper {
    async fn renew(&self) {
        let mut renewed = Instant::now();
        let mut ticks = tokio::time::interval_at(
            renewed + limits::LEASE_RENEW_INTERVAL,
            limits::LEASE_RENEW_INTERVAL,
        );
        while !self.lease.is_over() {
            ticks.tick().await;
            let asked = Instant::now();
            match self.client.renew(self.run, &self.request).await {
                Ok(answer) => {
                    renewed = asked;
                    self.lease.saw(answer.status);
                }
                Err(error) if is_lost(&error) => self.lease.lose(),
                Err(error) => tracing::warn!(run = %self.run, %error, "failed to renew a lease"),
            }
            if renewed.elapsed() > limits::LEASE_TTL {
                self.lease.end(Interruption::LeaseExpired);
            }
        }
    }

    async fn watch(&self) {
        while !self.lease.is_over() {
            let request = WatchRequest {
                epoch: self.request.epoch,
                execs: self.lease.execs.borrow().clone(),
                network_revision: Some(self.lease.network_revision()),
            };
            match self.client.watch(self.run, &request).await {
                Ok(answer) => {
                    self.lease.saw(answer.status);
                    self.lease.execs.send_replace(answer.execs);
                    if answer.network.is_some() {
                        self.lease.network.send_replace(answer.network);
                    }
                }
                Err(error) if error.is_stale_epoch() => self.lease.lose(),
                Err(_) => tokio::time::sleep(WATCH_PAUSE).await,
            }
        }
    }
}
