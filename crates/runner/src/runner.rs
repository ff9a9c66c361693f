//! The runner: starts, executes runs, stops.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use vm0_blob::{TreeCache, TreeError};
use vm0_client::{ClientError, RunnerClient};
use vm0_egress::{Outside, OutsideError};
use vm0_model::limits;
use vm0_model::network::PrivateAllowance;
use vm0_sandbox::{Backend, SandboxError, ids};

use crate::claim::claim_runs;
use crate::config::{RunnerConfig, SandboxChoice};
use crate::host::{Host, StopSignals, runs_dir};
use crate::image::Images;
use crate::images::{self, ImageError};
use crate::recover::{leftovers, recover};
use crate::versions::Versions;

/// After [`limits::GRACE`], time for interrupted runs to be salvaged and reported.
const SALVAGE_PATIENCE: Duration = Duration::from_secs(20);
/// Version trees are evicted this often.
const EVICT_INTERVAL: Duration = Duration::from_secs(60);

/// A runner cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Sandboxes do not work here.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Its directory cannot be used.
    #[error("use {path}")]
    Dir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its version trees cannot be used.
    #[error(transparent)]
    Trees(#[from] TreeError),
    /// Its images cannot be used.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// A network that is to be opened to agents never is.
    #[error("open {network} to agents: link-local, metadata and reserved addresses stay closed")]
    NeverOpened {
        /// The network.
        network: IpNet,
    },
    /// Its way to the internet cannot be set up.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// The client cannot be made.
    #[error(transparent)]
    Client(ClientError),
    /// The server refuses the token.
    #[error("be accepted by the server: {source}")]
    Refused {
        /// Its answer.
        source: ClientError,
    },
    /// A task of the runner ended by a fault.
    #[error("keep the runner going")]
    Fault(#[source] tokio::task::JoinError),
}

/// A runner of one server.
#[derive(Debug)]
pub struct Runner;

/// A runner at work. Dropping it leaves its runs to the next start.
pub struct RunningRunner {
    kind: &'static str,
    stop: StopSignals,
    runs: TaskTracker,
    claims: JoinHandle<Result<(), ClientError>>,
}

impl std::fmt::Debug for RunningRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningRunner")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Starts a runner: its sandboxes are tried, runs that an earlier process left are ended, and
    /// runs are claimed from then on. The server need not be there yet.
    ///
    /// # Errors
    /// When sandboxes do not work, or the state directory cannot be used.
    pub async fn start(config: RunnerConfig) -> Result<RunningRunner, RunnerError> {
        let slots = config.slots;
        let (host, left) = open(config).await?;
        let host = Arc::new(host);
        let (stop, runs, kind) = (host.stop.clone(), TaskTracker::new(), host.backend.kind());
        runs.spawn(recover(Arc::clone(&host), left));
        tokio::spawn(evict(Arc::clone(&host)));
        let claims = tokio::spawn(claim_runs(host, slots, runs.clone()));
        Ok(RunningRunner {
            kind,
            stop,
            runs,
            claims,
        })
    }
}

impl RunningRunner {
    /// The kind of its sandboxes on the wire, as `gvisor`.
    pub fn sandbox_kind(&self) -> &'static str {
        self.kind
    }

    /// Runs it executes now.
    pub fn active_runs(&self) -> usize {
        self.runs.len()
    }

    /// Waits until the runner cannot go on.
    ///
    /// Cancel safe, but not to be called again after it has returned.
    pub async fn failed(&mut self) -> RunnerError {
        match (&mut self.claims).await {
            Ok(Ok(())) => std::future::pending().await,
            Ok(Err(source)) => RunnerError::Refused { source },
            Err(error) => RunnerError::Fault(error),
        }
    }

    /// Stops: no further run is claimed; after `drain` agents get SIGTERM and a grace, their runs
    /// end as failed with their files salvaged. What cannot be ended in time is left to the next
    /// start.
    pub async fn stop(self, drain: Duration) {
        self.stop.drain.cancel();
        self.runs.close();
        if tokio::time::timeout(drain, self.runs.wait()).await.is_ok() {
            return;
        }
        self.stop.interrupt.cancel();
        if tokio::time::timeout(limits::GRACE + SALVAGE_PATIENCE, self.runs.wait())
            .await
            .is_ok()
        {
            return;
        }
        self.stop.abandon.cancel();
        // What is left is found by the next start.
        let _left = tokio::time::timeout(limits::GRACE, self.runs.wait()).await;
    }
}

impl Drop for RunningRunner {
    fn drop(&mut self) {
        self.stop.drain.cancel();
    }
}

async fn open(config: RunnerConfig) -> Result<(Host, Vec<PathBuf>), RunnerError> {
    for PrivateAllowance { network, .. } in &config.allow_private {
        if !vm0_egress::can_be_opened(network) {
            return Err(RunnerError::NeverOpened { network: *network });
        }
    }
    let client = RunnerClient::new(config.server, config.token).map_err(RunnerError::Client)?;
    let runs = runs_dir(&config.state_dir);
    let dir_error = |source| RunnerError::Dir {
        path: runs.clone(),
        source,
    };
    std::fs::create_dir_all(&runs).map_err(dir_error)?;
    let backend: Arc<dyn Backend> = match config.sandbox {
        SandboxChoice::Kind(kind) => vm0_sandbox::detect(kind, &config.state_dir).await?,
        SandboxChoice::Backend(backend) => backend,
    };
    let outside = Outside::new(&config.trusted_authorities, config.upstream_proxy)?;
    let missing = backend.probe().await?.missing;
    let owner = shifted_owner(&*backend);
    let trees_dir = crate::garbage::trees_dir(&config.state_dir);
    let trees = tokio::task::spawn_blocking(move || TreeCache::open(&trees_dir, owner)).await;
    let trees = trees.map_err(RunnerError::Fault)??;
    let left = leftovers(&runs).map_err(dir_error)?;
    let host = Host {
        name: config.name,
        client,
        backend,
        images: Images::new(images::open(&config.state_dir)?, config.host_image),
        versions: Versions::new(trees),
        allow_private: config.allow_private,
        outside,
        missing,
        tree_budget_bytes: config.tree_budget_bytes,
        state_dir: config.state_dir,
        stop: StopSignals::default(),
    };
    Ok((host, left))
}

/// Who the files of version trees belong to on the host, so that they are the agent's inside.
fn shifted_owner(backend: &dyn Backend) -> Option<(u32, u32)> {
    (backend.kind() != "fake").then_some((ids::USER, ids::USER))
}

async fn evict(host: Arc<Host>) {
    let mut ticks = tokio::time::interval(EVICT_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => host.versions.evict(host.tree_budget_bytes).await,
            () = host.stop.drain.cancelled() => return,
        }
    }
}
