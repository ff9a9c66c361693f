//! What the runs of one runner share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vm0_client::RunnerClient;
use vm0_egress::Outside;
use vm0_model::network::PrivateAllowance;
use vm0_sandbox::Backend;

use crate::image::Images;
use crate::versions::Versions;

/// What the runs of one runner share.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) client: RunnerClient,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) images: Images,
    pub(crate) versions: Versions,
    pub(crate) allow_private: Vec<PrivateAllowance>,
    pub(crate) outside: Outside,
    /// What sandboxes of this kind cannot enforce here.
    pub(crate) missing: Vec<String>,
    pub(crate) tree_budget_bytes: u64,
    pub(crate) state_dir: PathBuf,
    pub(crate) stop: StopSignals,
}

/// How far a stop has come; each includes those before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopSignals {
    /// No further run is claimed.
    pub(crate) drain: CancellationToken,
    /// Agents are stopped, their runs end as failed.
    pub(crate) interrupt: CancellationToken,
    /// Runs are left as they are, for the next start.
    pub(crate) abandon: CancellationToken,
}

impl Host {
    /// Where the directories of runs are.
    pub(crate) fn runs_dir(&self) -> PathBuf {
        runs_dir(&self.state_dir)
    }
}

/// Where the directories of runs are below `state_dir`.
pub(crate) fn runs_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}
