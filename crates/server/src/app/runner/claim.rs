//! Handing out runs.

use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use vm0_model::wire::runner::{
    ArtifactMount, Claim, ClaimRequest, MountedVersion, RunSpec, VolumeMount,
};
use vm0_model::{Epoch, ManifestId, RunId, RunStatus, UserId, VersionId, limits};
use vm0_store::record::{ClaimedRun, ClaimedVolume, RunFinish, VersionWanted};

use super::reports::leased;
use crate::app::agents::stored_value;
use crate::app::context::{App, Phase};
use crate::app::error::AppError;
use crate::app::runs::{SealedValues, network_change};
use crate::app::tokens::RunnerCaller;
use crate::clock;

impl App {
    /// A run to execute; waits for one, and answers none once the server is stopping.
    pub(crate) async fn claim(
        &self,
        runner: &RunnerCaller,
        request: &ClaimRequest,
    ) -> Result<Option<Claim>, AppError> {
        let deadline = Instant::now() + limits::CLAIM_WAIT;
        if self.phase() != Phase::Serving {
            return Err(AppError::Stopping);
        }
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
            self.meters
                .run_claimed(now.millis_since(claimed.run.created_at));
            self.wakeups.run_state(run);
            let text = match self.claim_spec(claimed).await {
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

    async fn claim_spec(&self, claimed: ClaimedRun) -> Result<Claim, ClaimFault> {
        let run = claimed.run;
        let values = SealedValues::open(&self.keys, run.id, &claimed.sealed)?;
        let artifact = match (run.artifact, claimed.artifact) {
            (Some(artifact), Some((_, None))) if artifact.wanted != VersionWanted::Latest => {
                let text = format!("the version of the artifact '{}' is gone", artifact.name);
                return Err(ClaimFault::Missing(text));
            }
            (Some(artifact), Some((storage_id, version))) => Some(ArtifactMount {
                storage_id,
                name: artifact.name,
                version: version.map(mounted),
            }),
            _ => None,
        };
        let config = stored_value(&claimed.config)?;
        let bundle = self.claim_bundle(run.user_id, &config).await?;
        let network = claimed.network.as_ref().map(network_change).transpose()?;
        let spec = RunSpec {
            run_id: run.id,
            agent_name: run.agent_name,
            agent_version: run.agent_version,
            config,
            environment: values.environment,
            secrets: values.secrets,
            placeholders: values.placeholders,
            prompt: run.prompt,
            timeout_seconds: run.timeout_seconds,
            started_at: run.started_at.unwrap_or(run.created_at),
            artifact,
            volumes: volume_mounts(claimed.volumes)?,
            bundle,
            session_id: run.session_id,
            conversation: claimed.conversation,
            network,
        };
        Ok(Claim {
            lease: claimed.lease,
            spec,
        })
    }

    /// The bundle that a stored configuration names.
    async fn claim_bundle(
        &self,
        user: UserId,
        config: &Value,
    ) -> Result<Option<MountedVersion>, ClaimFault> {
        let agents = config["agents"].as_object();
        let agent = agents.and_then(|agents| agents.values().next());
        let written = agent.and_then(|agent| agent["bundle"].as_str());
        let Some(id) = written.and_then(|text| text.to_ascii_lowercase().parse().ok()) else {
            return Ok(None);
        };
        let Some(version) = self.bundle_find(user, id).await? else {
            let text = "the agent's bundle of instructions and skills is gone; run: vm0 compose";
            return Err(ClaimFault::Missing(text.to_owned()));
        };
        Ok(Some(mounted((version.id, version.manifest_id))))
    }

    async fn run_reject(&self, run: RunId, epoch: Epoch, error: String) -> Result<(), AppError> {
        let now = clock::now();
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
            now,
        };
        let record = leased(self.store.run_finish(finish).await?)?;
        self.run_ended(&record, now);
        Ok(())
    }
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
