//! Which sandboxes work on this host.

use std::path::Path;

use vm0_sandbox::{Kind, open};
pub use vm0_sandbox::{Probe, SandboxError, Transparent};

/// One kind of sandbox.
#[derive(Debug)]
pub struct SandboxCheck {
    /// The kind, as options name it.
    pub kind: &'static str,
    /// What it offers here, or why it does not work and what fixes that.
    pub result: Result<Probe, SandboxError>,
}

/// Tries each kind of sandbox, the strongest first, in a directory below `state_dir` that is
/// removed again.
pub async fn report(state_dir: &Path) -> Vec<SandboxCheck> {
    let dir = state_dir.join(format!("doctor-{}", std::process::id()));
    let mut checks = Vec::new();
    for (name, kind) in [("gvisor", Kind::Gvisor), ("runc", Kind::Runc)] {
        checks.push(SandboxCheck {
            kind: name,
            result: probe(kind, &dir).await,
        });
    }
    if let Err(error) = std::fs::remove_dir_all(&dir) {
        tracing::debug!(%error, "failed to remove what was tried");
    }
    checks
}

async fn probe(kind: Kind, dir: &Path) -> Result<Probe, SandboxError> {
    open(kind, dir)?.probe().await
}
