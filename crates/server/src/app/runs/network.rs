//! The network policy of a run, and changing it while the run waits or goes on.

use serde_json::Value;
use vm0_model::config::{Problem, network_policy};
use vm0_model::network::{NetworkMode, NetworkPolicy};
use vm0_model::wire::network::NetworkSection;
use vm0_model::wire::runner::NetworkChange;
use vm0_model::{ApiError, ErrorCode, RunId, RunStatus};
use vm0_store::record::{RunNetwork, RunNetworkOutcome, RunNetworkPut, RunRecord};

use crate::app::agents::{stored_config, stored_value};
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::tokens::Caller;
use crate::clock;

const NO_NETWORK: &str = "Run has no network: its agent has mode none, and so its sandbox has no \
                          proxy. A policy can be given to such a run only while it is pending";

impl App {
    /// The network policy of a run that is in force.
    pub(crate) async fn run_network_view(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<NetworkSection, AppError> {
        let run = self.run(caller, id).await?;
        let policy = match self.store.run_network_view(run.id).await? {
            Some(network) => change(&network)?.policy,
            None => self.configured_network(&run).await?,
        };
        Ok(NetworkSection::from(&policy))
    }

    /// Replaces the network policy of a pending or running run, and tells its runner.
    pub(crate) async fn run_network_put(
        &self,
        caller: &Caller,
        id: &str,
        section: &Value,
    ) -> Result<NetworkSection, AppError> {
        let run = self.run(caller, id).await?;
        let policy = network_policy(section).map_err(|problems| first_problem(&problems))?;
        if run.status.is_terminal() {
            return Err(ended(run.status).into());
        }
        let shown = NetworkSection::from(&policy);
        let put = RunNetworkPut {
            user_id: caller.user.id,
            run_id: run.id,
            policy: serde_json::json!(shown).to_string(),
            has_network: self.configured_network(&run).await?.mode != NetworkMode::None,
            now: clock::now(),
        };
        match self.acting(caller).run_network_put(put).await? {
            RunNetworkOutcome::Changed(_) => {
                self.wakeups.run_network(run.id);
                Ok(shown)
            }
            RunNetworkOutcome::NotFound => Err(ApiError::not_found("run", id).into()),
            RunNetworkOutcome::Terminal(status) => Err(ended(status).into()),
            RunNetworkOutcome::NoNetwork => {
                Err(ApiError::new(ErrorCode::InvalidState, NO_NETWORK).into())
            }
        }
    }

    /// The last change of a run's network policy, if a runner that knows of changes up to this one
    /// follows them and does not know of it.
    pub(in crate::app) async fn run_network_news(
        &self,
        run: RunId,
        known: Option<u64>,
    ) -> Result<Option<NetworkChange>, AppError> {
        let Some(known) = known else {
            return Ok(None);
        };
        let network = self.store.run_network_view(run).await?;
        let network = network.filter(|network| network.revision != known);
        network.as_ref().map(change).transpose()
    }

    async fn configured_network(&self, run: &RunRecord) -> Result<NetworkPolicy, AppError> {
        let id = run.agent_version.to_string();
        let versions = self.store.agent_version_match(run.agent_id, &id).await?;
        let gone = || {
            let message = "The agent of the run is deleted, and with it the policy of the run";
            ApiError::new(ErrorCode::ResourceNotFound, message)
        };
        let version = versions.first().ok_or_else(gone)?;
        Ok(stored_config(&version.config)?.1.network)
    }
}

/// A stored policy as a runner gets it.
pub(in crate::app) fn change(network: &RunNetwork) -> Result<NetworkChange, AppError> {
    let policy =
        network_policy(&stored_value(&network.policy)?).map_err(|problems| AppError::Config {
            problem: problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })?;
    Ok(NetworkChange {
        revision: network.revision,
        policy,
    })
}

fn first_problem(problems: &[Problem]) -> ApiError {
    let first = problems.first();
    let (path, text) = first.map_or_else(
        || ("network".to_owned(), "network: is invalid".to_owned()),
        |problem| (problem.path.clone(), problem.to_string()),
    );
    ApiError::invalid(path, text)
}

fn ended(status: RunStatus) -> ApiError {
    let message = format!("Run cannot be changed: current status is '{status}'");
    ApiError::new(ErrorCode::InvalidState, message)
}
