//! Variables, secrets and the environment of a run (API 4.6).

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use vm0_model::broker::{PLACEHOLDER_RANDOM_BYTES, brokered_secrets, placeholder};
use vm0_model::config::AgentConfig;
use vm0_model::template::{TemplateSource, expand, templates};
use vm0_model::{ApiError, RunId, limits};

use crate::app::context::App;
use crate::app::error::AppError;
use crate::app::tokens::Caller;
use crate::keys::{Keys, SealError};

/// The values that wait, sealed, until the run is claimed.
#[derive(Serialize, Deserialize)]
pub(in crate::app) struct SealedValues {
    /// `environment` with its templates expanded; brokered secrets are their placeholders.
    pub(in crate::app) environment: BTreeMap<String, String>,
    /// Secrets by name: those given with the run, and the stored ones that it uses.
    pub(in crate::app) secrets: BTreeMap<String, String>,
    /// What stands for each brokered secret inside the sandbox.
    #[serde(default)]
    pub(in crate::app) placeholders: BTreeMap<String, String>,
}

/// A placeholder for each secret of a run that its sandbox must not see.
pub(super) fn new_placeholders(config: &AgentConfig) -> Result<BTreeMap<String, String>, AppError> {
    let named = brokered_secrets(config).into_iter().map(|name| {
        let mut random = [0; PLACEHOLDER_RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(SealError::Random)?;
        let text = placeholder(&name, random);
        Ok((name, text))
    });
    named.collect()
}

/// The values in effect for a run.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) secrets: &'a BTreeMap<String, String>,
}

impl App {
    /// The variables in effect, and stored ones for the names that these lack.
    pub(super) async fn run_variables(
        &self,
        caller: &Caller,
        config: &AgentConfig,
        in_effect: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, AppError> {
        let mut variables = in_effect.clone();
        let lacking = lacking(config.required_variables(), &variables);
        if !lacking.is_empty() {
            variables.extend(self.store.variable_find(caller.user.id, &lacking).await?);
        }
        Ok(variables)
    }

    /// The secrets given, and stored ones for the names that these lack. An empty one is not given.
    pub(super) async fn run_secrets(
        &self,
        caller: &Caller,
        config: &AgentConfig,
        given: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, AppError> {
        let mut secrets = given;
        secrets.retain(|_, value| !value.is_empty());
        let lacking = lacking(config.required_secrets(), &secrets);
        if lacking.is_empty() {
            return Ok(secrets);
        }
        let user = caller.user.id;
        for (name, sealed) in self.store.secret_find(user, &lacking).await? {
            let value = self.keys.open_secret(user, &name, &sealed)?;
            secrets.insert(name, value.expose_secret().to_owned());
        }
        Ok(secrets)
    }
}

/// The required names without a value.
fn lacking(required: BTreeSet<String>, values: &BTreeMap<String, String>) -> BTreeSet<String> {
    let lacks = |name: &String| !values.contains_key(name);
    required.into_iter().filter(lacks).collect()
}

impl<'a> Values<'a> {
    /// The value of a name; an empty secret is none.
    fn get(&self, source: TemplateSource, name: &str) -> Option<&'a str> {
        match source {
            TemplateSource::Vars => self.variables.get(name).map(String::as_str),
            TemplateSource::Secrets => self
                .secrets
                .get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty()),
        }
    }

    /// Whether a name in `text` has no value.
    pub(super) fn lacks(&self, text: &str) -> bool {
        templates(text).any(|(source, name)| self.get(source, name).is_none())
    }

    /// `text` with its templates expanded.
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, |source, name| self.get(source, name))
    }

    /// Check 13 of API 4.4.
    pub(super) fn check_complete(&self, config: &AgentConfig) -> Result<(), ApiError> {
        let missing = |names: BTreeSet<String>, source| {
            let absent = |name: &String| self.get(source, name).is_none();
            names.into_iter().filter(absent).collect::<Vec<_>>()
        };
        let variables = missing(config.required_variables(), TemplateSource::Vars);
        if !variables.is_empty() {
            return Err(missing_values("variables", "--vars", &variables));
        }
        let secrets = missing(config.required_secrets(), TemplateSource::Secrets);
        if !secrets.is_empty() {
            return Err(missing_values("secrets", "--secrets", &secrets));
        }
        Ok(())
    }

    /// The agent's environment, expanded, with `placeholders` in the place of the secrets that
    /// have one.
    pub(super) fn environment(
        &self,
        config: &AgentConfig,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let shown = |source, name: &str| match source {
            TemplateSource::Secrets => placeholders
                .get(name)
                .map(String::as_str)
                .or_else(|| self.get(source, name)),
            TemplateSource::Vars => self.get(source, name),
        };
        let expanded: BTreeMap<_, _> = config
            .environment
            .iter()
            .map(|(name, text)| (name.clone(), expand(text, shown)))
            .collect();
        let bytes: usize = expanded
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let max = limits::ENVIRONMENT_MAX_BYTES;
        if bytes > max {
            let message = format!("The expanded environment is larger than {max} bytes");
            return Err(ApiError::invalid("variables", message));
        }
        if let Some((name, _)) = expanded.iter().find(|(_, value)| value.contains('\0')) {
            let message = format!("The value of the environment variable {name} contains NUL");
            return Err(ApiError::invalid("variables", message));
        }
        Ok(expanded)
    }
}

fn missing_values(kind: &str, option: &str, names: &[String]) -> ApiError {
    let (all, first) = (names.join(", "), names.first().map_or("", String::as_str));
    let message = format!(
        "Missing required {kind}: {all}. \
         Use '{option} {first}=<value>' or '--env-file <path>' to provide them."
    );
    ApiError::invalid(kind, message)
}

impl SealedValues {
    /// The bytes to keep until the claim.
    pub(super) fn seal(&self, keys: &Keys, run: RunId) -> Result<Vec<u8>, AppError> {
        let corrupt = |source| AppError::Corrupt {
            what: "values of a run",
            source,
        };
        let plain = serde_json::to_vec(self).map_err(corrupt)?;
        Ok(keys.seal(run, &plain)?)
    }

    /// The values that were kept.
    pub(in crate::app) fn open(keys: &Keys, run: RunId, sealed: &[u8]) -> Result<Self, AppError> {
        let plain = keys.open_sealed(run, sealed)?;
        let corrupt = |source| AppError::Corrupt {
            what: "values of a run",
            source,
        };
        serde_json::from_slice(&plain).map_err(corrupt)
    }
}
