//! After a start: runs that an earlier process of this runner left behind.
//!
//! Agents act on the world, so nothing is run again. What was emitted is sent, what was written is
//! salvaged, the run ends as failed unless the server has ended it already, and nothing is left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vm0_model::RunStatus;
use vm0_model::wire::runner::{FinishReport, SavedArtifact};
use vm0_sandbox::Stopped;

use crate::chain::chain;
use crate::checkpoint::Remains;
use crate::finish::remove;
use crate::host::Host;
use crate::lease::Lease;
use crate::link::{Link, LinkError};
use crate::outcome::RUNNER_STOPPED;
use crate::run::SANDBOX_DIR;
use crate::state::{ArtifactState, RunState};
use crate::uplink::{Events, Logs, Metrics, resend};
use crate::workspace::{self, Base, WorkspaceError};

/// The directories of runs that are there before any run is claimed.
pub(crate) fn leftovers(runs_dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(runs_dir)?;
    let paths: Result<Vec<PathBuf>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

/// Ends every run in `dirs`, one after the other.
pub(crate) async fn recover(host: Arc<Host>, dirs: Vec<PathBuf>) {
    for dir in dirs {
        tokio::select! {
            () = recover_run(&host, &dir) => {}
            () = host.stop.abandon.cancelled() => return,
        }
    }
}

async fn recover_run(host: &Host, dir: &Path) {
    tracing::info!(dir = %dir.display(), "found a run of an earlier process");
    let stopped = match host.backend.sweep(&dir.join(SANDBOX_DIR)).await {
        Ok(stopped) => stopped,
        Err(error) => {
            tracing::error!(dir = %dir.display(), error = chain(&error), "failed to end a sandbox");
            return;
        }
    };
    match RunState::read(dir) {
        Ok(Some(state)) => end_run(host, dir, &state, stopped.as_deref()).await,
        Ok(None) => {}
        Err(error) => tracing::error!(error = chain(&error), "failed to read the state of a run"),
    }
    remove(
        host,
        dir,
        stopped.map_or(Remains::Unknown, Remains::Stopped),
    )
    .await;
}

async fn end_run(host: &Host, dir: &Path, state: &RunState, stopped: Option<&dyn Stopped>) {
    let lease = Lease::new(None);
    let _keeper = lease.keep_renewed(host.client.clone(), state.run_id, state.epoch);
    let link = Link {
        client: host.client.clone(),
        run_id: state.run_id,
        epoch: state.epoch,
        lease,
    };
    let sent = async {
        resend::<Events>(dir, &link).await?;
        resend::<Logs>(dir, &link).await?;
        resend::<Metrics>(dir, &link).await
    };
    if let Err(error) = sent.await {
        tracing::error!(run = %state.run_id, error = chain(&error), "failed to read a spool");
    }
    let artifact = match salvage(host, dir, &link, state, stopped).await {
        Ok(artifact) => artifact,
        Err(error) => {
            tracing::error!(run = %state.run_id, error = chain(&error), "failed to salvage a workspace");
            None
        }
    };
    match report(&link, artifact).await {
        Ok(status) => {
            tracing::info!(run = %state.run_id, %status, "ended a run of an earlier process")
        }
        Err(error) => {
            tracing::warn!(run = %state.run_id, error = chain(&error), "failed to end a run")
        }
    }
}

async fn report(link: &Link, artifact: Option<SavedArtifact>) -> Result<RunStatus, LinkError> {
    let report = FinishReport {
        epoch: link.epoch,
        status: RunStatus::Failed,
        error: Some(RUNNER_STOPPED.to_owned()),
        exit_code: None,
        output: None,
        usage: None,
        artifact,
        conversation: None,
    };
    let answer = link
        .call(|| link.client.finish(link.run_id, &report))
        .await?;
    Ok(answer.status)
}

async fn salvage(
    host: &Host,
    dir: &Path,
    link: &Link,
    state: &RunState,
    stopped: Option<&dyn Stopped>,
) -> Result<Option<SavedArtifact>, WorkspaceError> {
    let Some(ArtifactState { working_dir, base }) = &state.artifact else {
        return Ok(None);
    };
    let Some(layer) = stopped.and_then(|stopped| stopped.layer(working_dir)) else {
        return Ok(None);
    };
    let base = match base {
        Some(id) => {
            let manifest = host.versions.manifest(link, *id).await;
            let manifest = manifest.map_err(WorkspaceError::Base)?;
            Some(Base { id: *id, manifest })
        }
        None => None,
    };
    let saved = workspace::save(link, &host.versions, layer, base, dir).await?;
    Ok(saved.changed.then_some(saved.artifact))
}
