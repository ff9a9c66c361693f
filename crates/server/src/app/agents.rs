//! Agents and their versions (API 3).

use serde_json::Value;
use vm0_model::config::{AgentConfig, agent_version_id};
use vm0_model::wire::agents::{Agent, AgentAction, AgentDetail, AgentVersion};
use vm0_model::wire::page::Page;
use vm0_model::{AgentId, ApiError, ErrorCode};
use vm0_store::record::{
    AgentDeleteOutcome, AgentPut, AgentPutOutcome, AgentRecord, AgentVersionRecord, Key,
};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::tokens::Caller;
use crate::clock;

const LIST: &str = "agents";

/// Reads back a configuration that was checked when it was stored.
pub(super) fn stored_config(text: &str) -> Result<(Value, AgentConfig), AppError> {
    let value = stored_value(text)?;
    let checked = AgentConfig::from_json(&value);
    checked.map_err(|problems| AppError::Config {
        problem: problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
    })
}

/// The stored configuration as it is.
pub(super) fn stored_value(text: &str) -> Result<Value, AppError> {
    let corrupt = |source| AppError::Corrupt {
        what: "configuration",
        source,
    };
    serde_json::from_str(text).map_err(corrupt)
}

impl App {
    /// Makes a configuration the head of an agent: of the one with this id, which must have the
    /// name in the configuration, or of the one with that name, which is made if it is missing.
    pub(crate) async fn agent_put(
        &self,
        caller: &Caller,
        id: Option<&str>,
        config: &Value,
        message: Option<String>,
    ) -> Result<AgentDetail, AppError> {
        let (stored, config) =
            AgentConfig::from_json(config).map_err(|problems| first_problem(&problems))?;
        let key = match id {
            None => Key::Name(config.name.clone()),
            Some(id) => Key::Id(self.agent(caller, id).await?.0.id),
        };
        self.check_bundle(caller, &config).await?;
        let put = AgentPut {
            user: caller.user.clone(),
            key,
            name: config.name,
            new_id: clock::fresh(AgentId::from_uuid),
            version_id: agent_version_id(&stored),
            config: stored.to_string(),
            description: config.description,
            message,
            now: clock::now(),
        };
        let name = put.name.clone();
        let unknown = || ApiError::not_found("agent", id.unwrap_or(&name));
        match self.store.agent_put(put).await? {
            AgentPutOutcome::Done {
                agent,
                version,
                action,
            } => detail(agent, version, Some(action)),
            AgentPutOutcome::NotFound => Err(unknown().into()),
            AgentPutOutcome::NameMismatch => {
                let message = format!("config names the agent '{name}', this one has another name");
                Err(ApiError::invalid("config", message).into())
            }
        }
    }

    /// Removes an agent that has no pending or running run.
    pub(crate) async fn agent_delete(&self, caller: &Caller, id: &str) -> Result<(), AppError> {
        let unknown = || ApiError::not_found("agent", id);
        let agent = id.parse().map_err(|_| unknown())?;
        match self
            .acting(caller)
            .agent_delete(caller.user.id, agent)
            .await?
        {
            AgentDeleteOutcome::Deleted => Ok(()),
            AgentDeleteOutcome::NotFound => Err(unknown().into()),
            AgentDeleteOutcome::ActiveRuns => {
                let message = "The agent has pending or running runs";
                Err(ApiError::new(ErrorCode::AgentHasActiveRuns, message).into())
            }
        }
    }

    /// The agents of the caller.
    pub(crate) async fn agent_list(
        &self,
        caller: &Caller,
        name: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Agent>, AppError> {
        let name = name.map(str::to_lowercase);
        let rows = cursor::list_page(LIST, page)?;
        let rows = self
            .store
            .agent_list(caller.user.id, name.as_deref(), rows)
            .await?;
        let position = |row: &AgentRecord| cursor::list_position(LIST, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, |row| {
            item(&row)
        }))
    }

    /// An agent in full.
    pub(crate) async fn agent_view(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<AgentDetail, AppError> {
        let (agent, version) = self.agent(caller, id).await?;
        detail(agent, version, None)
    }

    /// The versions of an agent, newest first.
    pub(crate) async fn agent_version_list(
        &self,
        caller: &Caller,
        id: &str,
        page: &PageRequest,
    ) -> Result<Page<AgentVersion>, AppError> {
        let list = format!("versions {id}");
        let before = match &page.cursor {
            None => None,
            Some(cursor) => Some(cursor::decode_number(&list, cursor)?),
        };
        let (agent, _) = self.agent(caller, id).await?;
        let before = before.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        let rows = self
            .store
            .agent_version_list(agent.id, before, page.limit)
            .await?;
        let position = |row: &AgentVersionRecord| cursor::encode(&list, &row.number.to_string());
        let configs: Result<Vec<_>, _> = rows.iter().map(|row| stored_value(&row.config)).collect();
        let rows: Vec<_> = rows.into_iter().zip(configs?).collect();
        Ok(cursor::page_of(
            page.limit,
            rows,
            |(row, _)| position(row),
            |(row, config)| AgentVersion {
                config: Some(config),
                ..version(row)
            },
        ))
    }

    async fn agent(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<(AgentRecord, AgentVersionRecord), AppError> {
        let unknown = || ApiError::not_found("agent", id);
        let key = Key::Id(id.parse().map_err(|_| unknown())?);
        Ok(self
            .store
            .agent_view(caller.user.id, &key)
            .await?
            .ok_or_else(unknown)?)
    }

    /// Instructions and skills are pinned by a bundle that the caller has (agents 1.6). That they
    /// have one was checked with the rest of the configuration.
    async fn check_bundle(&self, caller: &Caller, config: &AgentConfig) -> Result<(), AppError> {
        let Some(bundle) = config.bundle else {
            return Ok(());
        };
        if self.bundle_find(caller.user.id, bundle).await?.is_some() {
            return Ok(());
        }
        let path = format!("agents.{}.bundle", config.name);
        let text = "is no version of the volume agent-bundles; run vm0 compose";
        Err(ApiError::invalid(format!("config.{path}"), format!("{path}: {text}")).into())
    }
}

fn first_problem(problems: &[vm0_model::config::Problem]) -> ApiError {
    let unreadable = || ApiError::invalid("config", "config: is not valid");
    problems
        .first()
        .map_or_else(unreadable, vm0_model::config::Problem::api_error)
}

fn item(row: &AgentRecord) -> Agent {
    Agent {
        id: row.id,
        name: row.name.clone(),
        description: row.description.clone(),
        current_version_id: Some(row.head),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn detail(
    agent: AgentRecord,
    head: AgentVersionRecord,
    action: Option<AgentAction>,
) -> Result<AgentDetail, AppError> {
    let config = stored_value(&head.config)?;
    let current_version = Some(version(head));
    Ok(AgentDetail {
        agent: item(&agent),
        current_version,
        config: Some(config),
        action,
    })
}

fn version(row: AgentVersionRecord) -> AgentVersion {
    AgentVersion {
        id: row.id,
        agent_id: row.agent_id,
        version_number: row.number,
        message: row.message,
        created_by: row.created_by,
        created_at: row.created_at,
        config: None,
    }
}
