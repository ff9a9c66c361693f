//! What a runner tells of a run that it holds.

use tokio::time::{Instant, timeout_at};
use vm0_blob::KeepGuard;
use vm0_model::wire::runner::{
    BatchAnswer, EventBatch, FinishAnswer, FinishReport, LogBatch, MetricBatch, NetworkChange,
    RenewAnswer, SalvageReport, SavedArtifact, StartedReport, WatchAnswer, WatchRequest,
};
use vm0_model::{
    ApiError, CheckpointId, Epoch, ExecId, RunId, RunStatus, SessionId, StorageId, StorageKind,
    Timestamp, limits,
};
use vm0_store::record::{
    Appended, Key, Leased, NewCheckpoint, RunFinish, RunRecord, RunSalvage, SavedVersion,
};

use super::objects::object_fault;
use crate::app::context::{App, Phase};
use crate::app::error::AppError;
use crate::app::wakeups::RunChanges;
use crate::clock;
use crate::monitor::NetworkDecision;

pub(super) fn leased<T>(outcome: Leased<T>) -> Result<T, AppError> {
    match outcome {
        Leased::Done(value) => Ok(value),
        Leased::Stale => Err(AppError::StaleEpoch),
    }
}

/// The run that a path names.
pub(crate) fn run_id(id: &str) -> Result<RunId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("run", id))
}

impl App {
    /// Prolongs a lease.
    pub(crate) async fn run_renew(
        &self,
        run: RunId,
        epoch: Epoch,
    ) -> Result<RenewAnswer, AppError> {
        let expires_at = clock::after(clock::now(), limits::LEASE_TTL);
        let status = leased(self.store.run_renew(run, epoch, expires_at).await?)?;
        Ok(RenewAnswer { expires_at, status })
    }

    /// Prolongs a lease and answers as soon as the run is terminal, or its network policy is
    /// another or other commands wait than the runner knows of, or after a while.
    pub(crate) async fn run_watch(
        &self,
        run: RunId,
        request: &WatchRequest,
    ) -> Result<WatchAnswer, AppError> {
        let deadline = Instant::now() + limits::CLAIM_WAIT;
        let mut watch = self.wakeups.watch(run);
        let mut seen = RunChanges::default();
        let mut status = self.run_renew(run, request.epoch).await?.status;
        let known = request.network_revision;
        let mut network = self.run_network_news(run, known).await?;
        loop {
            let execs = self.execs.waiting(run);
            if status.is_terminal() || execs != request.execs || network.is_some() {
                return Ok(watch_answer(status, execs, network));
            }
            let changed = async {
                tokio::select! {
                    changes = watch.changed() => Some(changes),
                    () = self.reached(Phase::Stopped) => None,
                }
            };
            let Ok(Some(changes)) = timeout_at(deadline, changed).await else {
                return Ok(watch_answer(status, execs, network));
            };
            if changes.states != seen.states {
                status = self.run_renew(run, request.epoch).await?.status;
            }
            if changes.networks != seen.networks {
                network = self.run_network_news(run, known).await?;
            }
            seen = changes;
        }
    }

    /// Records that the agent process has started.
    pub(crate) async fn run_started(
        &self,
        run: RunId,
        report: &StartedReport,
    ) -> Result<(), AppError> {
        let (sandbox, ready_ms) = (&report.sandbox, report.sandbox_ready_ms);
        let done = self
            .store
            .run_started(run, report.epoch, sandbox, ready_ms)
            .await?;
        leased(done).map(drop)
    }

    /// Records events and wakes those who watch the run.
    pub(crate) async fn event_append(
        &self,
        run: RunId,
        batch: EventBatch,
    ) -> Result<BatchAnswer, AppError> {
        let EventBatch {
            epoch,
            offset,
            events,
        } = batch;
        let done = leased(self.store.event_append(run, epoch, offset, events).await?)?;
        self.meters.events_appended(done.added);
        self.wakeups.run_events(run);
        Ok(batch_answer(done))
    }

    /// Records log entries.
    pub(crate) async fn log_append(
        &self,
        run: RunId,
        batch: LogBatch,
    ) -> Result<BatchAnswer, AppError> {
        let LogBatch {
            epoch,
            offset,
            entries,
        } = batch;
        let decisions: Vec<_> = entries.iter().map(NetworkDecision::of).collect();
        let done = leased(self.store.log_append(run, epoch, offset, entries).await?)?;
        // What was sent before comes first.
        let added = usize::try_from(done.added).unwrap_or(usize::MAX);
        let new = decisions.into_iter().rev().take(added).flatten();
        new.for_each(|decision| self.meters.network_decided(decision));
        Ok(batch_answer(done))
    }

    /// Records metric samples.
    pub(crate) async fn metric_append(
        &self,
        run: RunId,
        batch: MetricBatch,
    ) -> Result<BatchAnswer, AppError> {
        let MetricBatch {
            epoch,
            offset,
            samples,
        } = batch;
        let done = leased(
            self.store
                .metric_append(run, epoch, offset, samples)
                .await?,
        )?;
        Ok(batch_answer(done))
    }

    /// Ends a run.
    pub(crate) async fn run_finish(
        &self,
        run: RunId,
        report: FinishReport,
    ) -> Result<FinishAnswer, AppError> {
        if !report.status.is_terminal() || report.status == RunStatus::Cancelled {
            return Err(ApiError::invalid("status", "must be completed, failed or timeout").into());
        }
        let completed = report.status == RunStatus::Completed;
        let keep = self.blobs.keep().await?;
        let artifact = match report.artifact {
            Some(saved) => self.saved_version(&keep, run, saved).await?,
            None => None,
        };
        if let Some(history) = report.conversation.as_ref().and_then(|talk| talk.history) {
            let kept = self.blobs.history_keep(&keep, history).await;
            kept.map_err(object_fault)?;
        }
        let checkpoint = match report.conversation {
            Some(conversation) if completed => Some(NewCheckpoint {
                id: clock::fresh(CheckpointId::from_uuid),
                new_session_id: clock::fresh(SessionId::from_uuid),
                conversation,
            }),
            None if completed => {
                let message = "a completed run has a conversation, perhaps without history";
                return Err(ApiError::invalid("conversation", message).into());
            }
            _ => None,
        };
        let now = clock::now();
        let finish = RunFinish {
            run_id: run,
            epoch: report.epoch,
            status: report.status,
            error: report.error,
            exit_code: report.exit_code,
            output: report.output,
            usage: report.usage,
            artifact,
            checkpoint,
            now,
        };
        let record = leased(self.store.run_finish(finish).await?)?;
        drop(keep);
        self.run_ended(&record, now);
        Ok(FinishAnswer {
            status: record.status,
        })
    }

    /// Tells those who watch. A report that is repeated finds the run ended before.
    pub(super) fn run_ended(&self, record: &RunRecord, now: Timestamp) {
        if record.completed_at == Some(now) {
            self.meters.run_ended(record.status);
        }
        self.wakeups.run_state(record.id);
    }

    /// Keeps workspace and usage of a run that ended without completing.
    pub(crate) async fn run_salvage(
        &self,
        run: RunId,
        report: SalvageReport,
    ) -> Result<(), AppError> {
        let keep = self.blobs.keep().await?;
        let artifact = match report.artifact {
            Some(saved) => self.saved_version(&keep, run, saved).await?,
            None => None,
        };
        let salvage = RunSalvage {
            run_id: run,
            epoch: report.epoch,
            exit_code: report.exit_code,
            usage: report.usage,
            artifact,
            now: clock::now(),
        };
        leased(self.store.run_salvage(salvage).await?).map(drop)
    }

    /// The version that a saved workspace is, after proving that all its bytes are stored. `None`
    /// if the run has no artifact.
    async fn saved_version(
        &self,
        keep: &KeepGuard,
        run: RunId,
        saved: SavedArtifact,
    ) -> Result<Option<SavedVersion>, AppError> {
        let unknown = || ApiError::not_found("run", run);
        let record = self.store.run_view(None, run).await?.ok_or_else(unknown)?;
        let Some(artifact) = &record.artifact else {
            return Ok(None);
        };
        let storage_id = self.artifact_storage(&record, &artifact.name).await?;
        let manifest = self
            .blobs
            .manifest_get(saved.manifest_id)
            .await
            .map_err(object_fault)?;
        self.blobs
            .manifest_keep(keep, saved.manifest_id, &manifest)
            .await
            .map_err(object_fault)?;
        Ok(Some(SavedVersion {
            storage_id,
            version_id: manifest.version_id(storage_id),
            manifest_id: saved.manifest_id,
            size: manifest.size(),
            file_count: manifest.file_count(),
        }))
    }

    /// The artifact of a run by its name, or the id under which it is made again.
    async fn artifact_storage(&self, run: &RunRecord, name: &str) -> Result<StorageId, AppError> {
        let key = Key::Name(name.to_owned());
        let found = self
            .store
            .storage_view(run.user_id, StorageKind::Artifact, &key)
            .await?;
        Ok(found.map_or_else(|| clock::fresh(StorageId::from_uuid), |storage| storage.id))
    }
}

fn watch_answer(
    status: RunStatus,
    execs: Vec<ExecId>,
    network: Option<NetworkChange>,
) -> WatchAnswer {
    WatchAnswer {
        status,
        execs,
        network,
    }
}

fn batch_answer(done: Appended) -> BatchAnswer {
    BatchAnswer {
        next_offset: done.next_offset,
        status: done.status,
    }
}
