//! An agent's configuration, checked and with its defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::config::document;
use crate::config::host::HostPattern;
use crate::config::problem::Problem;
use crate::framework::FrameworkSpec;
use crate::id::VersionId;
use crate::network::NetworkPolicy;
use crate::path::SandboxPath;
use crate::template::{TemplateSource, templates};

/// What an agent is and what its runs get.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Lower case.
    pub name: String,
    /// The program that is the agent.
    pub framework: &'static FrameworkSpec,
    /// For people.
    pub description: Option<String>,
    /// What the agent is told in every run.
    pub instructions: Option<Instructions>,
    /// Directories and URLs, as written.
    pub skills: Vec<String>,
    /// The version of the volume `agent-bundles` that holds instructions and skills.
    pub bundle: Option<VersionId>,
    /// Variables with their templates, in the order written.
    pub environment: Vec<(String, String)>,
    /// What is mounted where, in the order written.
    pub mounts: Vec<Mount>,
    /// What the keys of the mounts mean; keys that no mount names are here too.
    pub volumes: BTreeMap<String, VolumeConfig>,
    /// None: the default of the runner.
    pub image: Option<String>,
    /// Where the agent runs.
    pub working_dir: SandboxPath,
    /// Default deadline of its runs.
    pub timeout_seconds: Option<u32>,
    /// What a run may use.
    pub resources: Resources,
    /// What a run may consume.
    pub budget: Budget,
    /// What it may reach.
    pub network: NetworkPolicy,
    /// Bindings by secret, without the built-in ones.
    pub secrets: BTreeMap<String, SecretBinding>,
    /// `experimental_seal_secrets`: hosts for which every secret in `environment` that has no
    /// binding is brokered in any request header; empty if that is off.
    pub sealed_hosts: Vec<HostPattern>,
    /// The commands of the framework `custom`.
    pub custom: Option<CustomCommand>,
}

impl AgentConfig {
    /// Checks a configuration as the API receives it, or one that is stored, and returns the value
    /// to store, too.
    ///
    /// # Errors
    /// Every problem, in document order.
    pub fn from_json(config: &Value) -> Result<(Value, Self), Vec<Problem>> {
        document::from_json(config)
    }

    /// The variables that a run must have a value for.
    pub fn required_variables(&self) -> BTreeSet<String> {
        self.template_names(TemplateSource::Vars)
    }

    /// The secrets that a run must have a value for: those of templates and the listed ones.
    pub fn required_secrets(&self) -> BTreeSet<String> {
        let mut names = self.template_names(TemplateSource::Secrets);
        names.extend(self.secrets.keys().cloned());
        names
    }

    fn template_names(&self, wanted: TemplateSource) -> BTreeSet<String> {
        let environment = self.environment.iter().map(|(_, value)| value);
        let volumes = self
            .volumes
            .values()
            .flat_map(|volume| [&volume.name, &volume.version]);
        environment
            .chain(volumes)
            .flat_map(|text| templates(text))
            .filter(|(source, _)| *source == wanted)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

/// What the agent is told in every run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instructions {
    /// A file beside `vm0.yaml`; its text is in the bundle.
    Path(String),
    /// The text itself.
    Text(String),
}

/// One entry of an agent's `volumes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The key below the top-level `volumes`.
    pub key: String,
    /// Where it appears.
    pub path: SandboxPath,
}

/// One entry of the top-level `volumes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeConfig {
    /// Name of the volume, perhaps with templates.
    pub name: String,
    /// Version reference, perhaps with templates.
    pub version: String,
    /// Whether the mount is left out if there is no such volume or version.
    pub optional: bool,
}

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// All writable space together, in MiB.
    pub disk_mb: u32,
    /// Processes and threads.
    pub pids: u32,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu_millis: 2000,
            memory_mb: 2048,
            disk_mb: 10_240,
            pids: 1024,
        }
    }
}

/// What a run may consume before it is stopped; none: without limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// Tokens read and written.
    pub max_tokens: Option<u64>,
    /// Cost in US dollars.
    pub max_cost_usd: Option<f64>,
    /// Model requests that are answered.
    pub max_turns: Option<u64>,
    /// From the start of the agent.
    pub max_duration: Option<Duration>,
}

impl Budget {
    /// Whether what its models consume is limited.
    pub fn limits_models(&self) -> bool {
        self.max_tokens.is_some() || self.max_cost_usd.is_some() || self.max_turns.is_some()
    }
}

/// What happens to a secret that the configuration lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretBinding {
    /// The sandbox sees a placeholder; the gateway puts the value into requests to the hosts.
    Brokered {
        /// Where the value goes.
        hosts: Vec<SecretHost>,
        /// At which place of a request.
        inject: Inject,
    },
    /// The sandbox sees the value.
    Exposed,
}

/// A host that a secret is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHost {
    /// Its name.
    pub host: HostPattern,
    /// Its port, 443 unless written.
    pub port: u16,
}

/// The place of a secret in a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inject {
    /// `Authorization: Bearer VALUE`.
    Bearer,
    /// `Authorization: Basic` with the value, or `x-access-token:VALUE`, in base64.
    Basic,
    /// This header, in lower case, is the value.
    Header(String),
    /// This query parameter is the value.
    Query(String),
}

/// The commands of the framework `custom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomCommand {
    /// For a new conversation.
    pub command: Vec<String>,
    /// For a resumed one; `command` unless written.
    pub resume_command: Vec<String>,
    /// Files and directories below HOME that are the conversation.
    pub history: Vec<String>,
}
