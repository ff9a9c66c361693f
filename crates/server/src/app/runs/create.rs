//! Creating a run: the checks of API 4.4 in their order, then one transaction.

use sha2::{Digest, Sha256};
use vm0_model::config::canonical_json;
use vm0_model::wire::runs::{RunCreate, RunDetail};
use vm0_model::{AgentId, ApiError, CheckpointId, ErrorCode, RunId, limits};
use vm0_store::record::{NewRun, RunCreateOutcome};

use super::origin::{Continued, Selector, session_busy};
use super::values::{SealedValues, Values, new_placeholders};
use super::view::detail;
use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::storages::check_name;
use crate::app::tokens::Caller;
use crate::clock;

const PURPOSE: &str = "idempotency";
const LIMIT_REACHED: &str = "You have reached the concurrent agent run limit. Please wait for \
                             your current run to complete before starting a new one.";

/// A request for a run.
pub(crate) struct RunRequest {
    /// Its fields.
    pub(crate) fields: RunCreate,
    /// The whole body, by which a repeated request is known.
    pub(crate) body: serde_json::Value,
    /// The header `Idempotency-Key`; `Err` if it is not text.
    pub(crate) idempotency_key: Option<Result<String, ()>>,
}

/// The agent of a run.
pub(crate) struct RunAgent {
    pub(crate) id: AgentId,
    pub(crate) name: String,
}

impl App {
    /// Creates a run, or finds the one that this request created before.
    pub(crate) async fn run_create(
        &self,
        caller: &Caller,
        request: RunRequest,
    ) -> Result<RunDetail, AppError> {
        check_fields(&request.fields)?;
        let selector = Selector::of(&request.fields)?;
        let idempotency = self.idempotency(&request)?;
        if let Some(earlier) = self.run_earlier(caller, idempotency.as_ref()).await? {
            return Ok(earlier);
        }
        let created = self
            .run_create_checked(caller, &request.fields, selector, idempotency.clone())
            .await;
        match created {
            // The same request may have created the run meanwhile, and that is why this one failed.
            Err(error) => match self.run_earlier(caller, idempotency.as_ref()).await? {
                Some(earlier) => Ok(earlier),
                None => Err(error),
            },
            created => created,
        }
    }

    /// Checks 4 to 13 of API 4.4, and the run.
    async fn run_create_checked(
        &self,
        caller: &Caller,
        fields: &RunCreate,
        selector: Selector<'_>,
        idempotency: Option<(String, String)>,
    ) -> Result<RunDetail, AppError> {
        let limit = self.settings.concurrent_run_limit;
        if limit > 0 && self.store.run_count_active(caller.user.id).await? >= limit {
            return Err(limit_reached().into());
        }
        let run = self.new_run(caller, fields, selector, idempotency).await?;
        match self.store.run_create(run).await? {
            RunCreateOutcome::Created(run) => {
                self.wakeups.run_queued();
                Ok(detail(run))
            }
            RunCreateOutcome::Replayed(run) => Ok(detail(run)),
            RunCreateOutcome::KeyReused => Err(key_reused().into()),
            RunCreateOutcome::LimitReached => Err(limit_reached().into()),
            RunCreateOutcome::SessionBusy => Err(session_busy("another run began").into()),
            RunCreateOutcome::AgentGone => Err(selector.agent_gone().into()),
        }
    }

    /// The key of the request with a digest of its body. Bodies hold secrets, so the digest is
    /// keyed: the database alone does not let anyone guess them.
    fn idempotency(&self, request: &RunRequest) -> Result<Option<(String, String)>, ApiError> {
        let Some(key) = &request.idempotency_key else {
            return Ok(None);
        };
        let max = limits::IDEMPOTENCY_KEY_MAX_CHARS;
        let valid = |key: &&String| {
            (1..=max).contains(&key.len()) && key.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        };
        let fault = || {
            let message = format!("Idempotency-Key must be 1 to {max} printable ASCII characters");
            ApiError::invalid("Idempotency-Key", message)
        };
        let key = key.as_ref().ok().filter(valid).ok_or_else(fault)?;
        let body = Sha256::digest(canonical_json(&request.body));
        Ok(Some((key.clone(), self.keys.sign(PURPOSE, &body))))
    }

    async fn run_earlier(
        &self,
        caller: &Caller,
        idempotency: Option<&(String, String)>,
    ) -> Result<Option<RunDetail>, AppError> {
        let Some((key, digest)) = idempotency else {
            return Ok(None);
        };
        let ttl = i64::try_from(limits::IDEMPOTENCY_TTL.as_millis()).unwrap_or(i64::MAX);
        let since = clock::now().plus_millis(-ttl);
        match self
            .store
            .run_find_idempotent(caller.user.id, key, since)
            .await?
        {
            None => Ok(None),
            Some((run, known)) if known == *digest => Ok(Some(detail(run))),
            Some(_) => Err(key_reused().into()),
        }
    }

    /// Whether a run of an agent with these fields could be made now, and of which agent.
    pub(crate) async fn run_check(
        &self,
        caller: &Caller,
        fields: &RunCreate,
    ) -> Result<RunAgent, AppError> {
        check_fields(fields)?;
        let run = self
            .new_run(caller, fields, Selector::of(fields)?, None)
            .await?;
        Ok(RunAgent {
            id: run.agent_id,
            name: run.agent_name,
        })
    }

    async fn new_run(
        &self,
        caller: &Caller,
        fields: &RunCreate,
        selector: Selector<'_>,
        idempotency: Option<(String, String)>,
    ) -> Result<NewRun, AppError> {
        let origin = self
            .run_origin(caller, selector, fields.agent_version.as_deref())
            .await?;
        let (config, continued) = (&origin.config, &origin.continued);
        let artifact = self.run_artifact(caller, fields, continued).await?;
        let variables = fields
            .variables
            .clone()
            .unwrap_or_else(|| continued.variables());
        let filled = self.run_variables(caller, config, &variables).await?;
        let given = fields.secrets.clone().unwrap_or_default();
        let secrets = self.run_secrets(caller, config, given).await?;
        let values = Values {
            variables: &filled,
            secrets: &secrets,
        };
        let volumes = self
            .run_volumes(caller, fields, continued, config, values)
            .await?;
        values.check_complete(config)?;
        let placeholders = new_placeholders(config)?;
        let environment = values.environment(config, &placeholders)?;
        let id = clock::fresh(RunId::from_uuid);
        let sealed = SealedValues {
            environment,
            secrets,
            placeholders,
        }
        .seal(&self.keys, id)?;
        let timeout = fields.timeout_seconds.or(config.timeout_seconds);
        Ok(NewRun {
            id,
            user_id: caller.user.id,
            agent_id: origin.agent.id,
            agent_name: origin.agent.name.clone(),
            agent_version: origin.version,
            prompt: fields.prompt.clone(),
            timeout_seconds: timeout.unwrap_or(limits::RUN_TIMEOUT_DEFAULT_SECONDS),
            secret_names: config.required_secrets().into_iter().collect(),
            sealed,
            artifact,
            volumes,
            session_id: continued.session().map(|session| session.id),
            resumed_checkpoint: resumed(continued),
            idempotency,
            concurrency_limit: self.settings.concurrent_run_limit,
            now: clock::now(),
            variables,
        })
    }
}

fn resumed(continued: &Continued) -> Option<CheckpointId> {
    continued.checkpoint().map(|checkpoint| checkpoint.id)
}

fn check_fields(fields: &RunCreate) -> Result<(), ApiError> {
    if fields.prompt.is_empty() {
        return Err(ApiError::invalid("prompt", "Prompt is required"));
    }
    let max = limits::PROMPT_MAX_BYTES;
    if fields.prompt.len() > max {
        return Err(ApiError::invalid(
            "prompt",
            format!("prompt must be at most {max} bytes"),
        ));
    }
    if let Some(name) = &fields.artifact_name {
        check_name("artifact_name", name)?;
    }
    Ok(())
}

fn key_reused() -> ApiError {
    let message = "The Idempotency-Key was used with another request body";
    ApiError::new(ErrorCode::IdempotencyKeyReused, message).with_param("Idempotency-Key")
}

fn limit_reached() -> ApiError {
    ApiError::new(ErrorCode::ConcurrentRunLimitExceeded, LIMIT_REACHED)
}
