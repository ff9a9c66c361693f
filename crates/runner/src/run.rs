//! A run on this runner, from its claim to its removal.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use vm0_model::wire::runner::{Claim, RunSpec, StartedReport};
use vm0_model::{RunId, Timestamp};

use crate::clock;
use crate::host::Host;
use crate::lease::Lease;
use crate::link::Link;
use crate::mask::Mask;
use crate::outcome::Interruption;
use crate::spool::{SegmentError, SpoolWriter};
use crate::state::{ArtifactState, RunState, StateError};
use crate::telemetry::{Journal, Phase};
use crate::uplink::{Events, Logs, Metrics, Uplink};

/// Where the sandbox is in a run's directory.
pub(crate) const SANDBOX_DIR: &str = "sandbox";

/// A run that this runner has the lease of.
pub(crate) struct Run {
    pub(crate) host: Arc<Host>,
    /// Without the values of secrets.
    pub(crate) spec: RunSpec,
    pub(crate) secrets: BTreeMap<String, SecretString>,
    pub(crate) dir: PathBuf,
    pub(crate) link: Link,
    pub(crate) mask: Arc<Mask>,
    pub(crate) journal: Journal,
    deadline: Instant,
    start_reports: TaskTracker,
    _recorder: AbortOnDropHandle<()>,
    _keeper: AbortOnDropHandle<()>,
}

/// What flows from a run to the server.
pub(crate) struct Feeds {
    pub(crate) events: Uplink,
    pub(crate) logs: Uplink,
    pub(crate) metrics: Uplink,
}

/// Where the agent's output and samples are put.
pub(crate) struct Outlets {
    pub(crate) events: SpoolWriter,
    pub(crate) metrics: SpoolWriter,
}

/// A run cannot be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its directory cannot be made.
    #[error("make {path}")]
    Dir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its spools cannot be made.
    #[error(transparent)]
    Spool(#[from] SegmentError),
    /// Its state cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a phase did not end well.
#[derive(Debug)]
pub(crate) enum PhaseEnd {
    /// The platform ended it.
    Interrupted(Interruption),
    /// It failed, with `[phase]`.
    Failed(String),
}

impl Run {
    /// Begins a claimed run: its directory, its spools, its lease.
    pub(crate) fn open(host: Arc<Host>, claim: Claim) -> Result<(Self, Feeds, Outlets), OpenError> {
        let Claim { lease, mut spec } = claim;
        let dir = host
            .runs_dir()
            .join(format!("{}-{}", lease.run_id, lease.epoch));
        std::fs::create_dir_all(&dir).map_err(|source| OpenError::Dir {
            path: dir.clone(),
            source,
        })?;
        state_of(&spec, &lease).write(&dir)?;
        let link = Link {
            client: host.client.clone(),
            run_id: lease.run_id,
            epoch: lease.epoch,
            lease: Lease::new(spec.network.clone()),
        };
        let keeper = link
            .lease
            .keep(host.client.clone(), lease.run_id, lease.epoch);
        let mask = Arc::new(Mask::new(&spec.secrets));
        let secrets = std::mem::take(&mut spec.secrets).into_iter();
        let secrets = secrets.map(|(name, value)| (name, value.into())).collect();
        let (event_spool, events) = Uplink::start::<Events>(&dir, link.clone())?;
        let (log_spool, logs) = Uplink::start::<Logs>(&dir, link.clone())?;
        let (metric_spool, metrics) = Uplink::start::<Metrics>(&dir, link.clone())?;
        let (journal, recorder) = Journal::start(log_spool, Arc::clone(&mask));
        let deadline = deadline(spec.started_at, spec.timeout_seconds);
        let run = Self {
            host,
            spec,
            secrets,
            dir,
            link,
            mask,
            journal,
            deadline,
            start_reports: TaskTracker::new(),
            _recorder: recorder,
            _keeper: keeper,
        };
        let outlets = Outlets {
            events: event_spool,
            metrics: metric_spool,
        };
        Ok((
            run,
            Feeds {
                events,
                logs,
                metrics,
            },
            outlets,
        ))
    }

    /// The run.
    pub(crate) fn id(&self) -> RunId {
        self.link.run_id
    }

    /// Tells the server that the agent process has started, without waiting for its answer.
    pub(crate) fn report_start(&self, report: StartedReport) {
        let link = self.link.clone();
        self.start_reports.spawn(async move {
            let started = link
                .call(|| link.client.started(link.run_id, &report))
                .await;
            if let Err(error) = started {
                tracing::warn!(run = %link.run_id, %error, "failed to report a start");
            }
        });
    }

    /// Waits until the server knows of the start.
    pub(crate) async fn start_reported(&self) {
        self.start_reports.close();
        self.start_reports.wait().await;
    }

    /// The state directory of its sandbox.
    pub(crate) fn sandbox_dir(&self) -> PathBuf {
        self.dir.join(SANDBOX_DIR)
    }

    /// Waits until the platform must end it.
    pub(crate) async fn interrupted(&self) -> Interruption {
        tokio::select! {
            over = self.link.lease.over() => over,
            () = tokio::time::sleep_until(self.deadline) => Interruption::Deadline,
            () = self.host.stop.interrupt.cancelled() => Interruption::Shutdown,
        }
    }

    /// Does the work of one phase, at most `limit` long, unless the platform must end the run.
    /// Dropped work leaves nothing but what sweeping its sandbox removes.
    pub(crate) async fn phase<T, E: std::fmt::Display>(
        &self,
        phase: Phase,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PhaseEnd> {
        let name = phase.error_name();
        let bounded = async {
            match tokio::time::timeout(limit, work).await {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(_) => Err(format!("not done within {} s", limit.as_secs())),
            }
        };
        let staged = self.journal.stage(phase, name, bounded);
        tokio::select! {
            result = staged => result.map_err(|text| PhaseEnd::Failed(format!("[{name}] {text}"))),
            interruption = self.interrupted() => Err(PhaseEnd::Interrupted(interruption)),
        }
    }
}

impl Feeds {
    /// Waits until the server has everything said so far.
    pub(crate) async fn flush(&mut self, journal: &Journal) {
        journal.flush().await;
        tokio::join!(self.events.flush(), self.logs.flush(), self.metrics.flush());
    }
}

fn state_of(spec: &RunSpec, lease: &vm0_model::Lease) -> RunState {
    let working_dir = crate::prepare::working_dir(&spec.config);
    RunState {
        run_id: lease.run_id,
        epoch: lease.epoch,
        artifact: spec.artifact.as_ref().map(|artifact| ArtifactState {
            working_dir,
            base: artifact.version.map(|version| version.manifest_id),
        }),
    }
}

fn deadline(started_at: Timestamp, timeout_seconds: u32) -> Instant {
    let passed = clock::now().millis_since(started_at).max(0);
    let left = i64::from(timeout_seconds) * 1000 - passed;
    Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
