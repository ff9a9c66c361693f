//! Where a run comes from: an agent, a session or a checkpoint, and what it inherits (API 4.5).

use std::collections::BTreeMap;

use vm0_model::config::AgentConfig;
use vm0_model::reference::{VersionRef, VersionRefError, choose_match};
use vm0_model::wire::runs::RunCreate;
use vm0_model::{AgentId, AgentVersionId, ApiError, ErrorCode, VersionId};
use vm0_store::record::{AgentRecord, AgentVersionRecord, CheckpointRecord, Key, SessionRecord};

use crate::app::agents::stored_config;
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::tokens::Caller;

/// Which field of the request decides what is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector<'a> {
    Checkpoint(&'a str),
    Session(&'a str),
    AgentId(&'a str),
    Agent(&'a str),
}

/// What a run continues.
#[derive(Debug)]
pub(super) enum Continued {
    Nothing,
    Session(Box<(SessionRecord, CheckpointRecord)>),
    Checkpoint(Box<CheckpointRecord>),
}

/// What is run, and what it continues.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) agent: AgentRecord,
    pub(super) version: AgentVersionId,
    pub(super) config: AgentConfig,
    pub(super) continued: Continued,
}

impl<'a> Selector<'a> {
    /// The first selector that is present and not empty.
    pub(super) fn of(request: &'a RunCreate) -> Result<Self, ApiError> {
        let given = |field: &'a Option<String>| field.as_deref().filter(|text| !text.is_empty());
        None.or(given(&request.checkpoint_id).map(Self::Checkpoint))
            .or(given(&request.session_id).map(Self::Session))
            .or(given(&request.agent_id).map(Self::AgentId))
            .or(given(&request.agent).map(Self::Agent))
            .ok_or_else(|| {
                let message = "Must provide one of: agent, agent_id, session_id, or checkpoint_id";
                ApiError::new(ErrorCode::MissingParameter, message)
            })
    }

    /// The field of the request.
    pub(super) const fn param(self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint_id",
            Self::Session(_) => "session_id",
            Self::AgentId(_) => "agent_id",
            Self::Agent(_) => "agent",
        }
    }

    fn unknown(self) -> ApiError {
        let error = match self {
            Self::Checkpoint(id) => ApiError::not_found("checkpoint", id),
            Self::Session(id) => ApiError::not_found("session", id),
            Self::AgentId(value) | Self::Agent(value) => ApiError::not_found("agent", value),
        };
        error.with_param(self.param())
    }

    /// The agent is gone, of this selector.
    pub(super) fn agent_gone(self) -> ApiError {
        let continued = match self {
            Self::Checkpoint(_) => "checkpoint",
            Self::Session(_) => "session",
            Self::AgentId(_) | Self::Agent(_) => return self.unknown(),
        };
        let message = format!("Agent for {continued} not found or has no versions");
        ApiError::new(ErrorCode::ResourceNotFound, message).with_param(self.param())
    }
}

impl Continued {
    /// The checkpoint whose conversation goes on.
    pub(super) fn checkpoint(&self) -> Option<&CheckpointRecord> {
        match self {
            Self::Nothing => None,
            Self::Session(both) => Some(&both.1),
            Self::Checkpoint(checkpoint) => Some(checkpoint),
        }
    }

    /// The session that goes on.
    pub(super) fn session(&self) -> Option<&SessionRecord> {
        match self {
            Self::Session(both) => Some(&both.0),
            Self::Nothing | Self::Checkpoint(_) => None,
        }
    }

    /// The variables that a request without any inherits.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        self.checkpoint()
            .map(|checkpoint| checkpoint.variables.clone())
            .unwrap_or_default()
    }

    /// The volume versions that a request without any inherits.
    pub(super) fn volumes(&self) -> BTreeMap<String, String> {
        match self {
            Self::Nothing => BTreeMap::new(),
            Self::Session(both) => both.1.volumes_given.clone(),
            Self::Checkpoint(checkpoint) => {
                let exact = |(key, id): (&String, &VersionId)| (key.clone(), id.to_string());
                checkpoint.volume_versions.iter().map(exact).collect()
            }
        }
    }

    /// The artifact that a request without one inherits, with the version pinned to it.
    pub(super) fn artifact(&self) -> Option<(String, Option<VersionId>)> {
        match self {
            Self::Nothing => None,
            Self::Session(both) => Some((both.0.artifact_name.clone()?, None)),
            Self::Checkpoint(checkpoint) => Some((
                checkpoint.artifact_name.clone()?,
                checkpoint.artifact_version,
            )),
        }
    }
}

impl App {
    /// Checks 5 to 10 of API 4.4.
    pub(super) async fn run_origin(
        &self,
        caller: &Caller,
        selector: Selector<'_>,
        reference: Option<&str>,
    ) -> Result<Origin, AppError> {
        let (key, continued) = self.selected(caller, selector).await?;
        let found = self.store.agent_view(caller.user.id, &key).await?;
        let (agent, head) = found.ok_or_else(|| selector.agent_gone())?;
        let pinned = match &continued {
            Continued::Checkpoint(checkpoint) => Some(checkpoint.agent_version.to_string()),
            Continued::Nothing | Continued::Session(_) => None,
        };
        let version = match reference.or(pinned.as_deref()) {
            Some(reference) => self.agent_version(&agent, head, reference).await?,
            None => head,
        };
        let (_, config) = stored_config(&version.config)?;
        if let Some(checkpoint) = continued.checkpoint() {
            check_framework(selector, checkpoint, &config)?;
        }
        if let Some((session, run)) = continued
            .session()
            .and_then(|session| Some((session, session.active_run_id?)))
        {
            return Err(session_busy(&format!("{} has run {run}", session.id)).into());
        }
        Ok(Origin {
            agent,
            version: version.id,
            config,
            continued,
        })
    }

    async fn selected(
        &self,
        caller: &Caller,
        selector: Selector<'_>,
    ) -> Result<(Key<AgentId>, Continued), AppError> {
        let unknown = || selector.unknown();
        match selector {
            Selector::Agent(name) => Ok((Key::Name(name.to_lowercase()), Continued::Nothing)),
            Selector::AgentId(id) => Ok((
                Key::Id(id.parse().map_err(|_| unknown())?),
                Continued::Nothing,
            )),
            Selector::Session(id) => {
                let id = id.parse().map_err(|_| unknown())?;
                let found = self.store.session_view(caller.user.id, id).await?;
                let session = found.ok_or_else(unknown)?;
                let last = session.last_checkpoint_id;
                let found = self.store.checkpoint_view(caller.user.id, last).await?;
                let checkpoint = found.ok_or_else(unknown)?;
                let agent = Key::Id(session.agent_id);
                Ok((agent, Continued::Session(Box::new((session, checkpoint)))))
            }
            Selector::Checkpoint(id) => {
                let id = id.parse().map_err(|_| unknown())?;
                let found = self.store.checkpoint_view(caller.user.id, id).await?;
                let checkpoint = found.ok_or_else(unknown)?;
                let agent = Key::Id(checkpoint.agent_id);
                Ok((agent, Continued::Checkpoint(Box::new(checkpoint))))
            }
        }
    }

    async fn agent_version(
        &self,
        agent: &AgentRecord,
        head: AgentVersionRecord,
        reference: &str,
    ) -> Result<AgentVersionRecord, AppError> {
        let fault = |error: VersionRefError| match error {
            VersionRefError::NotFound(value) => ApiError::not_found("agent version", value),
            other => ApiError::new(ErrorCode::InvalidParameter, other.to_string()),
        };
        let fault = |error| fault(error).with_param("agent_version");
        let prefix = match VersionRef::<AgentVersionId>::parse(reference).map_err(fault)? {
            VersionRef::Latest => return Ok(head),
            VersionRef::Exact(id) => id.to_string(),
            VersionRef::Prefix(prefix) => prefix,
        };
        let rows = self.store.agent_version_match(agent.id, &prefix).await?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        choose_match(reference, &ids).map_err(fault)?;
        let unknown = || fault(VersionRefError::NotFound(reference.to_owned()));
        Ok(rows.into_iter().next().ok_or_else(unknown)?)
    }
}

fn check_framework(
    selector: Selector<'_>,
    checkpoint: &CheckpointRecord,
    config: &AgentConfig,
) -> Result<(), ApiError> {
    let (made_with, now) = (&checkpoint.framework, config.framework.name.as_str());
    if made_with == now {
        return Ok(());
    }
    let message =
        format!("The conversation was made with {made_with}, the agent version uses {now}");
    Err(ApiError::new(ErrorCode::InvalidState, message).with_param(selector.param()))
}

/// The session has a pending or running run.
pub(super) fn session_busy(which: &str) -> ApiError {
    let message = format!("The session is busy: {which}");
    ApiError::new(ErrorCode::SessionBusy, message).with_param("session_id")
}
