//! What runners do: claim runs, report on them, fetch and store their objects.
//!
//! Every call about a run names the epoch of its lease; with another one nothing is written.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, timeout_at};
use vm0_blob::{BlobError, ByteStream};
use vm0_model::wire::runner::{
    ArtifactMount, BatchAnswer, Claim, ClaimRequest, EventBatch, FinishAnswer, FinishReport,
    LogBatch, MetricBatch, MountedVersion, RenewAnswer, RunSpec, SalvageReport, SavedArtifact,
    StartedReport, VolumeMount,
};
use vm0_model::{
    ApiError, CheckpointId, Epoch, ErrorCode, HistoryId, ManifestId, PackId, RunId, RunStatus,
    SessionId, StorageId, StorageKind, VersionId, limits,
};
use vm0_store::record::{
    Appended, ClaimedRun, ClaimedVolume, Key, Leased, NewCheckpoint, RunFinish, RunRecord,
    SavedVersion,
};

use super::agents::stored_value;
use super::context::{App, Phase};
use super::error::AppError;
use super::runs::SealedValues;
use super::tokens::RunnerCaller;
use crate::clock;

fn leased<T>(outcome: Leased<T>) -> Result<T, AppError> {
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
    /// A run to execute; waits for one, and answers none once the server is stopping.
    pub(crate) async fn claim(
        &self,
        runner: &RunnerCaller,
        request: &ClaimRequest,
    ) -> Result<Option<Claim>, AppError> {
        let deadline = Instant::now() + limits::CLAIM_WAIT;
        while self.phase() == Phase::Serving {
            if let Some(claimed) = self.run_claim(runner, request).await? {
                // Somebody else may be waiting for what else is in the queue.
                self.wakeups.run_queued();
                return Ok(Some(claimed));
            }
            let waited = async {
                tokio::select! {
                    () = self.wakeups.queued() => {}
                    () = self.reached(Phase::Draining) => {}
                }
            };
            if timeout_at(deadline, waited).await.is_err() {
                break;
            }
        }
        Ok(None)
    }

    /// Takes runs from the queue until one can be executed; one that cannot is ended as failed.
    async fn run_claim(
        &self,
        runner: &RunnerCaller,
        request: &ClaimRequest,
    ) -> Result<Option<Claim>, AppError> {
        let name = if request.runner.is_empty() {
            &runner.name
        } else {
            &request.runner
        };
        loop {
            let now = clock::now();
            let expires_at = clock::after(now, limits::LEASE_TTL);
            let claimed = self
                .store
                .run_claim(name, &request.sandbox, now, expires_at)
                .await?;
            let Some(claimed) = claimed else {
                return Ok(None);
            };
            let (run, epoch) = (claimed.run.id, claimed.lease.epoch);
            self.wakeups.run_state(run);
            let text = match self.claim_spec(claimed) {
                Ok(claim) => return Ok(Some(claim)),
                Err(ClaimFault::Missing(text)) => text,
                Err(ClaimFault::App(error)) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, %run, "a claimed run cannot be executed");
                    "the stored run cannot be read".to_owned()
                }
            };
            self.run_reject(run, epoch, format!("[prepare] {text}"))
                .await?;
        }
    }

    fn claim_spec(&self, claimed: ClaimedRun) -> Result<Claim, ClaimFault> {
        let run = claimed.run;
        let values = SealedValues::open(&self.keys, run.id, &claimed.sealed)?;
        let artifact = match (run.artifact, claimed.artifact) {
            (Some(artifact), Some((storage_id, version))) => Some(ArtifactMount {
                storage_id,
                name: artifact.name,
                version: version.map(mounted),
            }),
            _ => None,
        };
        let spec = RunSpec {
            run_id: run.id,
            agent_name: run.agent_name,
            agent_version: run.agent_version,
            config: stored_value(&claimed.config)?,
            environment: values.environment,
            secrets: values.secrets,
            prompt: run.prompt,
            timeout_seconds: run.timeout_seconds,
            started_at: run.started_at.unwrap_or(run.created_at),
            artifact,
            volumes: volume_mounts(claimed.volumes)?,
            session_id: run.session_id,
            conversation: claimed.conversation,
        };
        Ok(Claim {
            lease: claimed.lease,
            spec,
        })
    }

    async fn run_reject(&self, run: RunId, epoch: Epoch, error: String) -> Result<(), AppError> {
        let finish = RunFinish {
            run_id: run,
            epoch,
            status: RunStatus::Failed,
            error: Some(error),
            exit_code: None,
            output: None,
            usage: None,
            artifact: None,
            checkpoint: None,
            now: clock::now(),
        };
        leased(self.store.run_finish(finish).await?)?;
        self.wakeups.run_state(run);
        Ok(())
    }

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

    /// Prolongs a lease and answers as soon as the run is terminal, or after a while.
    pub(crate) async fn run_watch(
        &self,
        run: RunId,
        epoch: Epoch,
    ) -> Result<RenewAnswer, AppError> {
        let deadline = Instant::now() + limits::CLAIM_WAIT;
        let mut watch = self.wakeups.watch(run);
        let mut states = 0;
        let mut answer = self.run_renew(run, epoch).await?;
        while !answer.status.is_terminal() {
            let changed = async {
                tokio::select! {
                    changes = watch.changed() => Some(changes),
                    () = self.reached(Phase::Stopped) => None,
                }
            };
            let Ok(Some(changes)) = timeout_at(deadline, changed).await else {
                break;
            };
            if std::mem::replace(&mut states, changes.states) != changes.states {
                answer = self.run_renew(run, epoch).await?;
            }
        }
        Ok(answer)
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
        let done = leased(self.store.log_append(run, epoch, offset, entries).await?)?;
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
        let artifact = match report.artifact {
            Some(saved) => self.saved_version(run, saved).await?,
            None => None,
        };
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
            now: clock::now(),
        };
        let record = leased(self.store.run_finish(finish).await?)?;
        self.wakeups.run_state(run);
        Ok(FinishAnswer {
            status: record.status,
        })
    }

    /// Keeps the workspace of a run that ended without completing.
    pub(crate) async fn run_salvage(
        &self,
        run: RunId,
        report: SalvageReport,
    ) -> Result<(), AppError> {
        let Some(version) = self.saved_version(run, report.artifact).await? else {
            return Ok(());
        };
        let now = clock::now();
        let done = self
            .store
            .run_salvage(run, report.epoch, report.exit_code, version, now)
            .await?;
        leased(done).map(drop)
    }

    /// The version that a saved workspace is, after proving that all its bytes are stored. `None`
    /// if the run has no artifact.
    async fn saved_version(
        &self,
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
            .manifest_check(&manifest)
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

    /// Encoded bytes of a manifest.
    pub(crate) async fn manifest_read(&self, id: ManifestId) -> Result<ByteStream, AppError> {
        self.blobs
            .manifest_get_encoded(id)
            .await
            .map_err(object_fault)
    }

    /// Bytes of a pack.
    pub(crate) async fn pack_read(
        &self,
        id: PackId,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, AppError> {
        self.blobs.pack_get(id, range).await.map_err(object_fault)
    }

    /// Length of a pack.
    pub(crate) async fn pack_len(&self, id: PackId) -> Result<u64, AppError> {
        self.blobs.pack_len(id).await.map_err(object_fault)
    }

    /// Bytes of a history.
    pub(crate) async fn history_read(&self, id: HistoryId) -> Result<ByteStream, AppError> {
        self.blobs.history_get(id).await.map_err(object_fault)
    }

    /// Stores an object of a run under its lease.
    pub(crate) async fn run_object_put<S, E>(
        &self,
        run: RunId,
        epoch: Epoch,
        object: RunObject,
        stream: S,
    ) -> Result<(), AppError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.run_renew(run, epoch).await?;
        let stored = match object {
            RunObject::Pack(id) => {
                let limit = self.settings.version_max_bytes.saturating_mul(2);
                self.blobs.pack_put(stream, id, limit).await.map(drop)
            }
            RunObject::Manifest(id) => self.blobs.manifest_put_encoded(stream, id).await.map(drop),
            RunObject::History(id) => self.blobs.history_put(stream, id).await.map(drop),
        };
        stored.map_err(object_fault)
    }
}

/// An object that a runner stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunObject {
    /// New file contents.
    Pack(PackId),
    /// The entries of a version.
    Manifest(ManifestId),
    /// A conversation.
    History(HistoryId),
}

/// Why a claimed run cannot be executed.
enum ClaimFault {
    Missing(String),
    App(AppError),
}

impl From<AppError> for ClaimFault {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

fn mounted((version_id, manifest_id): (VersionId, ManifestId)) -> MountedVersion {
    MountedVersion {
        version_id,
        manifest_id,
    }
}

fn volume_mounts(volumes: Vec<ClaimedVolume>) -> Result<Vec<VolumeMount>, ClaimFault> {
    let mut mounts = Vec::with_capacity(volumes.len());
    for ClaimedVolume { volume, version } in volumes {
        match version {
            Some(version) => mounts.push(VolumeMount {
                key: volume.key,
                name: volume.name,
                path: volume.path,
                version: mounted(version),
            }),
            None if volume.optional => {}
            None => {
                let text = format!("volume '{}' or its version is gone", volume.name);
                return Err(ClaimFault::Missing(text));
            }
        }
    }
    Ok(mounts)
}

fn batch_answer(done: Appended) -> BatchAnswer {
    BatchAnswer {
        next_offset: done.next_offset,
        status: done.status,
    }
}

/// What the runner is told of a fault of an object.
fn object_fault(error: BlobError) -> AppError {
    let code = match &error {
        BlobError::NotFound { .. } => ErrorCode::ResourceNotFound,
        BlobError::TooLarge { .. } => ErrorCode::PayloadTooLarge,
        BlobError::Mismatch { .. }
        | BlobError::Receive(_)
        | BlobError::Manifest(_)
        | BlobError::Dangling { .. } => ErrorCode::InvalidParameter,
        _ => return error.into(),
    };
    ApiError::new(code, format!("failed to {error}"))
        .with_param("body")
        .into()
}
