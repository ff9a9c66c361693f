//! The secrets of a run: values in memory, and what the gateway gets of them.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use vm0_egress::{BrokeredSecret, SecretError};
use vm0_model::broker::{Binding, secret_bindings};
use vm0_model::config::AgentConfig;
use vm0_model::wire::runner::RunSpec;

/// The brokered secrets of a run.
#[derive(Debug, Default)]
pub(crate) struct Brokered {
    pub(crate) secrets: Vec<BrokeredSecret>,
    /// Where any of them goes.
    pub(crate) bindings: BTreeSet<Binding>,
}

/// The secrets of a run whose environment has placeholders for them.
pub(crate) fn brokered(
    config: &AgentConfig,
    spec: &RunSpec,
    values: &BTreeMap<String, SecretString>,
) -> Result<Brokered, SecretError> {
    let mut bound = secret_bindings(config, &spec.environment);
    let mut brokered = Brokered::default();
    for (name, placeholder) in &spec.placeholders {
        let (Some(value), Some(bindings)) = (values.get(name), bound.remove(name)) else {
            continue;
        };
        let secret =
            BrokeredSecret::new(name.clone(), value.clone(), placeholder, bindings.clone())?;
        brokered.secrets.push(secret);
        brokered.bindings.extend(bindings);
    }
    Ok(brokered)
}
