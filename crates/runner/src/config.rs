//! What a runner is started with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use vm0_client::ServerUrl;
use vm0_egress::UpstreamProxy;
use vm0_model::network::PrivateAllowance;
use vm0_sandbox::{Backend, Kind};

/// What a runner is started with.
#[derive(Debug)]
pub struct RunnerConfig {
    /// The server whose runs it executes.
    pub server: ServerUrl,
    /// A runner token of that server.
    pub token: SecretString,
    /// Name of the runner.
    pub name: String,
    /// Runs at a time.
    pub slots: usize,
    /// Where it keeps version trees, images and running sandboxes. One process uses it at a time.
    pub state_dir: PathBuf,
    /// What it executes runs in.
    pub sandbox: SandboxChoice,
    /// Private networks, and addresses of this machine, that agents may reach.
    pub allow_private: Vec<PrivateAllowance>,
    /// Files of certificate authorities, in PEM, that the gateway trusts beside the machine's.
    pub trusted_authorities: Vec<PathBuf>,
    /// A proxy through which agents reach everything that is not private.
    pub upstream_proxy: Option<UpstreamProxy>,
    /// Whether the image `host` may be used.
    pub host_image: bool,
    /// Version trees that no run uses are removed until the others have at most this.
    pub tree_budget_bytes: u64,
}

/// What a runner executes runs in.
#[derive(Clone)]
pub enum SandboxChoice {
    /// A kind that this host must have.
    Kind(Kind),
    /// A backend that is there already.
    Backend(Arc<dyn Backend>),
}

impl fmt::Debug for SandboxChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => f.debug_tuple("Kind").field(kind).finish(),
            Self::Backend(backend) => f.debug_tuple("Backend").field(&backend.kind()).finish(),
        }
    }
}
