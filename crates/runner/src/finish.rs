//! The phase `finish`: everything reaches the server, then nothing is left here.

use std::path::Path;

use vm0_model::wire::runner::{FinishReport, SalvageReport};

use crate::chain::chain;
use crate::checkpoint::{Concluded, Remains, stop};
use crate::host::Host;
use crate::link::LinkError;
use crate::outcome::Interruption;
use crate::run::{Feeds, Run};
use crate::telemetry::Phase;

/// Reports how a run ended and removes what is left of it here.
pub(crate) async fn finish(run: Run, mut feeds: Feeds, mut concluded: Concluded) {
    if concluded.interruption.is_some() {
        concluded.remains = stop(concluded.remains).await;
    }
    let status = concluded.verdict.status;
    run.journal
        .info(Phase::Finish, format!("run {status}"))
        .await;
    let reported = tokio::select! {
        reported = report(&run, &mut feeds, &concluded) => reported,
        () = run.host.stop.abandon.cancelled() => {
            tracing::warn!(run = %run.id(), "left a run for the next start");
            return;
        }
    };
    if let Err(error) = reported {
        tracing::error!(run = %run.id(), error = chain(&error), "failed to report a run");
    }
    let remains = stop(concluded.remains).await;
    remove(&run.host, &run.dir, remains).await;
    drop(concluded.held);
}

async fn report(run: &Run, feeds: &mut Feeds, concluded: &Concluded) -> Result<(), LinkError> {
    feeds.flush(&run.journal).await;
    run.start_reported().await;
    let link = &run.link;
    if let Some(Interruption::Ended(_)) = concluded.interruption {
        let report = SalvageReport {
            epoch: link.epoch,
            exit_code: None,
            usage: concluded.usage,
            artifact: concluded.artifact,
        };
        if report.usage.is_none() && report.artifact.is_none() {
            return Ok(());
        }
        return link
            .call(|| link.client.salvage(link.run_id, &report))
            .await;
    }
    let verdict = &concluded.verdict;
    let report = FinishReport {
        epoch: link.epoch,
        status: verdict.status,
        error: verdict.error.clone(),
        exit_code: verdict.exit_code,
        output: concluded.output.clone(),
        usage: concluded.usage,
        artifact: concluded.artifact,
        conversation: concluded.conversation.clone(),
    };
    let answer = link
        .call(|| link.client.finish(link.run_id, &report))
        .await?;
    tracing::info!(run = %run.id(), status = %answer.status, "run ended");
    Ok(())
}

/// Removes sandbox and directory of a run.
pub(crate) async fn remove(host: &Host, run_dir: &Path, remains: Remains) {
    let stopped = match remains {
        Remains::Stopped(stopped) => Ok(Some(stopped)),
        Remains::Unknown | Remains::Running(_) => {
            host.backend
                .sweep(&run_dir.join(crate::run::SANDBOX_DIR))
                .await
        }
    };
    let removed = match stopped {
        Ok(Some(stopped)) => stopped.remove().await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        // Its directory stays, so that the next start finds what is left.
        tracing::error!(dir = %run_dir.display(), error = chain(&error), "failed to remove a sandbox");
        return;
    }
    if let Err(error) = tokio::fs::remove_dir_all(run_dir).await {
        tracing::error!(dir = %run_dir.display(), %error, "failed to remove a run's directory");
    }
}
