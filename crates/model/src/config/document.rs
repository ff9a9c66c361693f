//! The top level of a configuration: `version`, `agents`, `volumes`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::config::agent::{AgentConfig, VolumeConfig};
use crate::config::agent_fields::{Surroundings, read_agent};
use crate::config::field::{Field, Fields};
use crate::config::node::{Node, Position};
use crate::config::problem::{Problem, Problems};
use crate::config::version::stored_config;
use crate::config::yaml;
use crate::limits::NESTING_MAX;
use crate::name::{is_agent_name, is_storage_name, is_volume_key};
use crate::reference::VERSION_PREFIX_MIN_CHARS;
use crate::template::{TemplateSource, has_template, templates};

/// Most entries of the top-level `volumes`.
pub(super) const VOLUMES_MAX: usize = 32;

/// Characters of `version`.
pub(super) const VERSION_MAX_CHARS: usize = 32;

/// Keys of the whole.
pub(super) const TOP_KEYS: [&str; 3] = ["version", "agents", "volumes"];

/// Keys of an entry of the top-level `volumes`.
pub(super) const VOLUME_KEYS: [&str; 3] = ["name", "version", "optional"];

/// Where a configuration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file of the user, whose instructions and skills are still beside it.
    File,
    /// The API: instructions and skills are in the bundle.
    Api,
}

/// Checks the text of a `vm0.yaml` and returns it as JSON, too. Instructions and skills are not
/// looked at: they lie beside the file.
///
/// # Errors
/// Every problem, in document order.
pub fn from_yaml(text: &str) -> Result<(Value, AgentConfig), Vec<Problem>> {
    let mut problems = Problems::default();
    match yaml::read(text, &mut problems) {
        Some(root) => read_document(&root, Origin::File, problems),
        None => Err(problems.into_sorted()),
    }
}

/// The value of a YAML document that keeps the rules of agents 1.1, whatever it means.
///
/// # Errors
/// Every problem, in document order.
pub fn yaml_value(text: &str) -> Result<Value, Vec<Problem>> {
    let mut problems = Problems::default();
    let root = yaml::read(text, &mut problems);
    let problems = problems.into_sorted();
    match root {
        Some(root) if problems.is_empty() => Ok(root.to_json()),
        _ => Err(problems),
    }
}

/// A problem with the value at `path` of a text that [`from_yaml`] has read, found by looking at
/// what lies beside the file.
pub fn problem_at(text: &str, path: &str, fault: impl fmt::Display) -> Problem {
    let root = yaml::read(text, &mut Problems::default());
    let at = root.as_ref().and_then(|root| root.at_path(path));
    Problem::new(at.map(|node| node.at).unwrap_or_default(), path, fault)
}

pub(super) fn from_json(config: &Value) -> Result<(Value, AgentConfig), Vec<Problem>> {
    match Node::from_json(config) {
        Some(root) => read_document(&root, Origin::Api, Problems::default()),
        None => {
            let text = format_args!("nested deeper than {NESTING_MAX} levels");
            Err(vec![Problem::new(Position::default(), "", text)])
        }
    }
}

fn read_document(
    root: &Node,
    origin: Origin,
    mut problems: Problems,
) -> Result<(Value, AgentConfig), Vec<Problem>> {
    let agent = read_top(&Field::root(root), origin, &mut problems);
    let problems = problems.into_sorted();
    match agent {
        Some(agent) if problems.is_empty() => Ok((stored_config(&root.to_json()), agent)),
        _ => Err(problems),
    }
}

fn read_top(root: &Field<'_>, origin: Origin, problems: &mut Problems) -> Option<AgentConfig> {
    let top = root.fields(problems, &TOP_KEYS)?;
    check_version(&top, problems);
    let volumes = top
        .get("volumes")
        .map(|field| read_volumes(field, problems));
    let volumes = volumes.unwrap_or_default();
    let agents = top.require_or(problems, "agents", "Missing agents object in config")?;
    let entries = agents.entries(problems)?;
    if entries.is_empty() {
        problems.add(agents, "no agent defined; exactly one is required");
    } else if entries.len() > 1 {
        let names: Vec<_> = entries.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        problems.add(
            agents,
            format_args!("Multiple agents not supported. Only one agent allowed: {names}"),
        );
    }
    let mut only = None;
    for (name, field) in entries {
        if !is_agent_name(name) {
            problems.add(
                &field,
                format_args!(
                    "invalid name '{name}': use 3-64 letters, digits or '-', beginning and ending \
                     with a letter or digit"
                ),
            );
        }
        let surroundings = Surroundings {
            volumes: &volumes,
            origin,
        };
        only = read_agent(name, &field, &surroundings, problems);
    }
    Some(AgentConfig { volumes, ..only? })
}

fn check_version(top: &Fields<'_>, problems: &mut Problems) {
    let Some(field) = top.require_or(problems, "version", "Missing config.version") else {
        return;
    };
    if field.template_string().is_none() {
        problems.add(field, "must be a string; write version: \"1.0\"");
        return;
    }
    let Some(version) = field.string(problems) else {
        return;
    };
    if !(1..=VERSION_MAX_CHARS).contains(&version.chars().count()) {
        problems.add(
            field,
            format_args!("must be 1 to {VERSION_MAX_CHARS} characters long"),
        );
    }
}

fn read_volumes(field: &Field<'_>, problems: &mut Problems) -> BTreeMap<String, VolumeConfig> {
    let entries = field.entries(problems).unwrap_or_default();
    if entries.len() > VOLUMES_MAX {
        problems.add(
            field,
            format_args!("must have at most {VOLUMES_MAX} entries"),
        );
    }
    let mut volumes = BTreeMap::new();
    for (key, field) in entries {
        if !is_volume_key(key) {
            problems.add(
                &field,
                format_args!(
                    "invalid key '{key}': use 1-64 letters, digits, '_' or '-', beginning with a \
                     letter or digit"
                ),
            );
        }
        volumes.insert(key.to_owned(), read_volume(&field, problems));
    }
    volumes
}

fn read_volume(field: &Field<'_>, problems: &mut Problems) -> VolumeConfig {
    let mut volume = VolumeConfig {
        name: String::new(),
        version: "latest".to_owned(),
        optional: false,
    };
    let Some(fields) = field.fields(problems, &VOLUME_KEYS) else {
        return volume;
    };
    if let Some(field) = fields.require(problems, "name") {
        if let Some(name) = field.template_string() {
            name.clone_into(&mut volume.name);
            check_volume_text(field, name, problems, name_fault);
        } else {
            field.string(problems);
        }
    }
    if let Some(field) = fields.get("version") {
        if let Some(version) = field.template_string() {
            version.clone_into(&mut volume.version);
            check_volume_text(field, version, problems, version_fault);
        } else {
            problems.add(field, "must be a string; put the value in quotes");
        }
    }
    volume.optional = fields
        .get("optional")
        .and_then(|field| field.boolean(problems))
        .unwrap_or(false);
    volume
}

/// Checks a text in which `vars` may stand; its own rule applies once it is expanded.
fn check_volume_text(
    field: &Field<'_>,
    text: &str,
    problems: &mut Problems,
    fault: impl FnOnce(&str) -> Option<String>,
) {
    if templates(text).any(|(source, _)| source == TemplateSource::Secrets) {
        problems.add(field, "secrets may not be used here; only vars");
    } else if !has_template(text)
        && let Some(fault) = fault(text)
    {
        problems.add(field, fault);
    }
}

fn name_fault(name: &str) -> Option<String> {
    let allowed = "use 1-64 lower-case letters, digits or '-', beginning and ending with a letter \
                   or digit";
    (!is_storage_name(name)).then(|| format!("invalid name '{name}': {allowed}"))
}

fn version_fault(version: &str) -> Option<String> {
    let valid = version.eq_ignore_ascii_case("latest")
        || (version.len() >= VERSION_PREFIX_MIN_CHARS
            && version.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (!valid).then(|| "must be latest or at least 8 hex digits".to_owned())
}
