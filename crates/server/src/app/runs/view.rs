//! Showing, listing and cancelling runs.

use std::collections::BTreeMap;

use vm0_model::wire::page::Page;
use vm0_model::wire::runs::{Run, RunDetail, Timings};
use vm0_model::{ApiError, ErrorCode, RunId, RunStatus, Timestamp};
use vm0_store::record::{RunCancelOutcome, RunFilter, RunRecord};

use crate::app::context::App;
use crate::app::cursor::{self, PageRequest};
use crate::app::error::AppError;
use crate::app::tokens::Caller;
use crate::clock;

const LIST: &str = "runs";

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunListQuery {
    /// Only this state.
    pub(crate) status: Option<RunStatus>,
    /// Only this agent, as given.
    pub(crate) agent_id: Option<String>,
    /// Only runs created at this time or later.
    pub(crate) since: Option<Timestamp>,
}

impl App {
    /// The runs of the caller.
    pub(crate) async fn run_list(
        &self,
        caller: &Caller,
        query: RunListQuery,
        page: &PageRequest,
    ) -> Result<Page<Run>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let agent_id = query.agent_id.as_deref().map(str::parse).transpose();
        let rows = match agent_id {
            // What is no id matches no run.
            Err(_) => Vec::new(),
            Ok(agent_id) => {
                let filter = RunFilter {
                    status: query.status,
                    agent_id,
                    since: query.since,
                };
                self.store.run_list(caller.user.id, &filter, rows).await?
            }
        };
        let position = |row: &RunRecord| cursor::list_position(LIST, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, |row| {
            item(&row)
        }))
    }

    /// A run in full.
    pub(crate) async fn run_view(&self, caller: &Caller, id: &str) -> Result<RunDetail, AppError> {
        Ok(detail(self.run(caller, id).await?))
    }

    /// Cancels a pending or running run.
    pub(crate) async fn run_cancel(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<RunDetail, AppError> {
        let unknown = || ApiError::not_found("run", id);
        let run: RunId = id.parse().map_err(|_| unknown())?;
        match self
            .store
            .run_cancel(caller.user.id, run, clock::now())
            .await?
        {
            RunCancelOutcome::Cancelled(record) => {
                self.meters.run_ended(record.status);
                self.wakeups.run_state(run);
                Ok(detail(record))
            }
            RunCancelOutcome::NotFound => Err(unknown().into()),
            RunCancelOutcome::Terminal(status) => {
                let message = format!("Run cannot be cancelled: current status is '{status}'");
                Err(ApiError::new(ErrorCode::InvalidState, message).into())
            }
        }
    }

    /// A run of the caller.
    pub(in crate::app) async fn run(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<RunRecord, AppError> {
        let unknown = || ApiError::not_found("run", id);
        let run = id.parse().map_err(|_| unknown())?;
        Ok(self
            .store
            .run_view(Some(caller.user.id), run)
            .await?
            .ok_or_else(unknown)?)
    }
}

fn item(row: &RunRecord) -> Run {
    Run {
        id: row.id,
        agent_id: row.agent_id,
        agent_name: row.agent_name.clone(),
        status: row.status,
        prompt: row.prompt.clone(),
        created_at: row.created_at,
        started_at: row.started_at,
        completed_at: row.completed_at,
    }
}

/// From the start of a run to its end, in milliseconds.
pub(in crate::app) fn execution_time_ms(row: &RunRecord) -> Option<i64> {
    Some(row.completed_at?.millis_since(row.started_at?))
}

pub(super) fn detail(row: RunRecord) -> RunDetail {
    RunDetail {
        run: item(&row),
        execution_time_ms: execution_time_ms(&row),
        artifact_version: artifact_version(&row),
        volumes: volumes(&row),
        timings: Timings {
            queue_ms: row
                .started_at
                .map(|started| started.millis_since(row.created_at)),
            sandbox_ready_ms: row.sandbox_ready_ms,
        },
        artifact_name: row.artifact.map(|artifact| artifact.name),
        error: row.error,
        checkpoint_id: row.checkpoint_id,
        session_id: row.session_id,
        salvaged_artifact_version: row.artifact_salvaged,
        agent_version: row.agent_version,
        timeout_seconds: row.timeout_seconds,
        output: row.output,
        exit_code: row.exit_code,
        sandbox: row.sandbox,
        usage: row.usage,
    }
}

fn artifact_version(row: &RunRecord) -> Option<String> {
    match row.status {
        RunStatus::Pending | RunStatus::Running => row.artifact.as_ref()?.shown.clone(),
        RunStatus::Completed => row.artifact_saved.map(|version| version.to_string()),
        RunStatus::Failed | RunStatus::Timeout | RunStatus::Cancelled => None,
    }
}

/// Exact versions once the run has started, before that the references given or inherited.
fn volumes(row: &RunRecord) -> Option<BTreeMap<String, String>> {
    let shown: BTreeMap<_, _> = match &row.volume_versions {
        Some(exact) => exact
            .iter()
            .map(|(key, id)| (key.clone(), id.to_string()))
            .collect(),
        None => row
            .volumes
            .iter()
            .filter_map(|volume| Some((volume.key.clone(), volume.given.clone()?)))
            .collect(),
    };
    (!shown.is_empty()).then_some(shown)
}
