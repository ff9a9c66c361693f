//! Chooses a backend.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::contract::{Backend, Transparent};
use crate::error::SandboxError;
use crate::fake::FakeBackend;
use crate::oci::{OciBackend, Runtime};

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The strongest that works.
    Auto,
    /// `runsc`.
    Gvisor,
    /// `runc`.
    Runc,
    /// `crun`.
    Crun,
    /// In process, without isolation.
    Fake,
}

/// A text that names no kind of sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid sandbox '{0}'; allowed: auto, gvisor, runc, crun, fake")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "auto" => Ok(Self::Auto),
            "gvisor" => Ok(Self::Gvisor),
            "runc" => Ok(Self::Runc),
            "crun" => Ok(Self::Crun),
            "fake" => Ok(Self::Fake),
            other => Err(UnknownKind(other.to_owned())),
        }
    }
}

/// Opens a backend without trying it. `state_dir` is where it keeps what its sandboxes share.
///
/// # Errors
/// If it is known not to work here.
pub fn open(kind: Kind, state_dir: &Path) -> Result<Arc<dyn Backend>, SandboxError> {
    match kind {
        Kind::Auto | Kind::Gvisor => Ok(Arc::new(OciBackend::new(Runtime::Runsc, state_dir)?)),
        Kind::Runc => Ok(Arc::new(OciBackend::new(Runtime::Runc, state_dir)?)),
        Kind::Fake => Ok(Arc::new(FakeBackend::default())),
        Kind::Crun => Err(SandboxError::Unavailable {
            kind: "crun",
            reason: "it refuses mixed cgroup hierarchies and is not supported yet".to_owned(),
            fix: "use --sandbox runc",
        }),
    }
}

/// Opens the backend asked for and starts a sandbox to see that it works; `auto` takes gVisor, or
/// with a loud warning `runc`.
///
/// # Errors
/// Why it does not work, with what fixes it.
pub async fn detect(kind: Kind, state_dir: &Path) -> Result<Arc<dyn Backend>, SandboxError> {
    if kind != Kind::Auto {
        let backend = open(kind, state_dir)?;
        report(&*backend).await?;
        return Ok(backend);
    }
    match try_open(Kind::Gvisor, state_dir).await {
        Ok(backend) => Ok(backend),
        Err(gvisor) => {
            let backend = try_open(Kind::Runc, state_dir).await.map_err(|runc| {
                tracing::error!(error = %runc, "runc does not work either");
                SandboxError::Unavailable {
                    kind: "auto",
                    reason: format!("neither works: {gvisor}; {runc}"),
                    fix: "run `vm0 doctor`",
                }
            })?;
            tracing::warn!(
                error = %gvisor,
                "gVisor does not work here: agents run in runc, whose isolation is weaker, because \
                 they share this host's kernel; `vm0 doctor` says how to get gVisor"
            );
            Ok(backend)
        }
    }
}

async fn try_open(kind: Kind, state_dir: &Path) -> Result<Arc<dyn Backend>, SandboxError> {
    let backend = open(kind, state_dir)?;
    report(&*backend).await?;
    Ok(backend)
}

async fn report(backend: &dyn Backend) -> Result<(), SandboxError> {
    let probe = backend.probe().await?;
    tracing::info!(
        sandbox = backend.kind(),
        version = probe.version,
        "sandboxes work"
    );
    if let Transparent::Failed(reason) = probe.transparent {
        tracing::warn!(
            sandbox = backend.kind(),
            reason,
            "programs that ignore the proxy will have no network"
        );
    }
    for missing in probe.missing {
        tracing::warn!(sandbox = backend.kind(), "{missing}");
    }
    Ok(())
}
