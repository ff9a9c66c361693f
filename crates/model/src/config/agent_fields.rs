//! The fields of one agent.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use crate::config::agent::{AgentConfig, Instructions, Resources, VolumeConfig};
use crate::config::budget_fields::read_budget;
use crate::config::custom::read_custom;
use crate::config::document::Origin;
use crate::config::field::{Field, Fields};
use crate::config::firewall::read_firewall;
use crate::config::host::HostPattern;
use crate::config::image::is_image_name;
use crate::config::mount_fields::{read_mounts, taken_paths};
use crate::config::network_fields::read_network;
use crate::config::problem::Problems;
use crate::config::secret_fields::{check_against_network, read_secrets};
use crate::config::skill::{SkillSource, is_inside};
use crate::framework::{self, FrameworkSpec};
use crate::id::VersionId;
use crate::limits::RUN_TIMEOUT_MAX_SECONDS;
use crate::name::is_variable_name;
use crate::network::NetworkPolicy;
use crate::path::SandboxPath;

/// Keys of an agent.
pub(super) const KEYS: [&str; 19] = [
    "framework",
    "description",
    "instructions",
    "skills",
    "environment",
    "volumes",
    "image",
    "working_dir",
    "timeout_seconds",
    "resources",
    "budget",
    "network",
    "secrets",
    "command",
    "resume_command",
    "history",
    "bundle",
    "experimental_firewall",
    "experimental_runner",
];

/// Keys of `resources`.
pub(super) const RESOURCES_KEYS: [&str; 4] = ["cpus", "memory_mb", "disk_mb", "pids"];

/// Keys of `experimental_runner`.
pub(super) const RUNNER_KEYS: [&str; 1] = ["group"];

pub(super) const DESCRIPTION_MAX_CHARS: usize = 1000;
pub(super) const SKILLS_MAX: usize = 32;
pub(super) const CPUS: RangeInclusive<f64> = 0.1..=256.0;
pub(super) const MEMORY_MB: RangeInclusive<u32> = 64..=1_048_576;
pub(super) const DISK_MB: RangeInclusive<u32> = 64..=10_485_760;
pub(super) const PIDS: RangeInclusive<u32> = 16..=65_536;
pub(super) const DEFAULT_FRAMEWORK: &str = "claude-code";
pub(super) const DEFAULT_WORKING_DIR: &str = "/home/user/workspace";
const INSTRUCTIONS_MAX_BYTES: usize = 64 << 10;

/// What the fields of an agent are checked against.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) volumes: &'a BTreeMap<String, VolumeConfig>,
    pub(super) origin: Origin,
}

/// Reads one agent, without the top-level `volumes`.
pub(super) fn read_agent(
    name: &str,
    field: &Field<'_>,
    surroundings: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<AgentConfig> {
    let fields = field.fields(problems, &KEYS)?;
    let framework = read_framework(&fields, problems);
    let instructions = read_instructions(&fields, problems);
    let skills = read_skills(&fields, problems);
    let bundle = read_bundle(&fields, problems);
    if surroundings.origin == Origin::Api && bundle.is_none() {
        refuse_unbundled(&fields, instructions.as_ref(), &skills, problems);
    }
    let working_dir = read_working_dir(&fields, problems);
    let (network, sealed_hosts) = read_policy(&fields, problems);
    let secrets = fields
        .get("secrets")
        .map(|field| read_secrets(field, problems));
    let secrets = secrets.unwrap_or_default();
    if let Some(field) = fields.get("secrets") {
        check_against_network(field, &secrets, network.mode, problems);
    }
    check_runner(&fields, problems);
    let timeout_seconds = fields
        .get("timeout_seconds")
        .and_then(|field| field.integer(problems, 1..=RUN_TIMEOUT_MAX_SECONDS));
    let description = read_description(&fields, problems);
    let environment = read_environment(&fields, problems);
    let taken = taken_paths(working_dir.as_ref(), framework, &skills);
    let mounts = read_mounts(&fields, surroundings.volumes, &taken, problems);
    let image = read_image(&fields, problems);
    let resources = read_resources(&fields, problems);
    let budget = read_budget(&fields, problems);
    let custom = read_custom(
        &fields,
        framework.is_some_and(FrameworkSpec::is_custom),
        problems,
    );
    Some(AgentConfig {
        name: name.to_ascii_lowercase(),
        framework: framework?,
        description,
        instructions,
        skills,
        bundle,
        environment,
        mounts,
        volumes: BTreeMap::new(),
        image,
        working_dir: working_dir?,
        timeout_seconds,
        resources,
        budget,
        network,
        secrets,
        sealed_hosts,
        custom,
    })
}

fn read_policy(fields: &Fields<'_>, problems: &mut Problems) -> (NetworkPolicy, Vec<HostPattern>) {
    let network = fields
        .get("network")
        .map(|field| read_network(field, problems));
    let firewall = fields.get("experimental_firewall");
    let sealed = firewall.map(|field| read_firewall(field, problems));
    if let (Some(_), Some(firewall)) = (&network, firewall) {
        problems.add(firewall, "use network or experimental_firewall, not both");
    }
    sealed
        .or_else(|| Some((network?, Vec::new())))
        .unwrap_or_default()
}

fn read_framework(fields: &Fields<'_>, problems: &mut Problems) -> Option<&'static FrameworkSpec> {
    let Some(field) = fields.get("framework") else {
        return framework::find(DEFAULT_FRAMEWORK);
    };
    let choices: Vec<_> = framework::all()
        .iter()
        .map(|spec| (spec.name.as_str(), spec))
        .collect();
    field.choice(problems, &choices)
}

fn read_description(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let field = fields.get("description")?;
    let text = field.string(problems)?;
    if text.chars().count() > DESCRIPTION_MAX_CHARS {
        problems.add(
            field,
            format_args!("must be at most {DESCRIPTION_MAX_CHARS} characters long"),
        );
    }
    Some(text.to_owned())
}

fn read_instructions(fields: &Fields<'_>, problems: &mut Problems) -> Option<Instructions> {
    let field = fields.get("instructions")?;
    let text = field.string(problems)?;
    if text.contains(['\n', '\r']) {
        if text.len() > INSTRUCTIONS_MAX_BYTES {
            problems.add(
                field,
                format_args!("must be at most {INSTRUCTIONS_MAX_BYTES} bytes; use a file"),
            );
        }
        return Some(Instructions::Text(text.to_owned()));
    }
    if !is_inside(text) {
        problems.add(
            field,
            "must be a relative path without '..', or a text of several lines",
        );
    }
    Some(Instructions::Path(text.to_owned()))
}

fn read_skills(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(field) = fields.get("skills") else {
        return Vec::new();
    };
    let mut names = HashSet::new();
    let mut skills = Vec::new();
    for (field, text) in field.strings(problems, 0..=SKILLS_MAX).unwrap_or_default() {
        match SkillSource::parse(text) {
            Ok(source) if !names.insert(source.name().to_owned()) => {
                problems.add(
                    &field,
                    format_args!("skill '{}' is listed twice", source.name()),
                );
            }
            Ok(_) => skills.push(text.to_owned()),
            Err(error) => problems.add(&field, error),
        }
    }
    skills
}

fn read_bundle(fields: &Fields<'_>, problems: &mut Problems) -> Option<VersionId> {
    let field = fields.get("bundle")?;
    let id = field.string(problems)?.to_ascii_lowercase().parse();
    if id.is_err() {
        problems.add(field, "must be 64 hex digits");
    }
    id.ok()
}

fn refuse_unbundled(
    fields: &Fields<'_>,
    instructions: Option<&Instructions>,
    skills: &[String],
    problems: &mut Problems,
) {
    let field = match instructions {
        Some(Instructions::Path(_)) => fields.get("instructions"),
        _ if !skills.is_empty() => fields.get("skills"),
        _ => None,
    };
    if let Some(field) = field.filter(|_| fields.get("bundle").is_none()) {
        problems.add(
            field,
            "instructions and skills need a bundle; run vm0 compose",
        );
    }
}

fn read_environment(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    let Some(field) = fields.get("environment") else {
        return Vec::new();
    };
    let mut environment = Vec::new();
    for (name, field) in field.entries(problems).unwrap_or_default() {
        if !is_variable_name(name) {
            problems.add(
                &field,
                format_args!(
                    "invalid name '{name}': use letters, digits or '_', not beginning with a digit"
                ),
            );
        } else if name.starts_with("VM0_") {
            problems.add(&field, "names beginning with VM0_ are reserved");
        }
        match field.template_string() {
            Some(value) if value.contains('\0') => problems.add(&field, "must not contain NUL"),
            Some(value) => environment.push((name.to_owned(), value.to_owned())),
            None => problems.add(&field, "must be a string; put the value in quotes"),
        }
    }
    environment
}

fn read_working_dir(fields: &Fields<'_>, problems: &mut Problems) -> Option<SandboxPath> {
    let Some(field) = fields.get("working_dir") else {
        return SandboxPath::parse(DEFAULT_WORKING_DIR).ok();
    };
    SandboxPath::parse(field.string(problems)?)
        .map_err(|error| problems.add(field, error))
        .ok()
}

fn read_image(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let field = fields.get("image")?;
    let name = field.string(problems)?;
    if !is_image_name(name) {
        problems.add(
            field,
            "must have the form NAME, NAME:TAG or NAME@sha256:HEX",
        );
    }
    Some(name.to_owned())
}

fn read_resources(fields: &Fields<'_>, problems: &mut Problems) -> Resources {
    let mut resources = Resources::default();
    let Some(field) = fields.get("resources") else {
        return resources;
    };
    let Some(fields) = field.fields(problems, &RESOURCES_KEYS) else {
        return resources;
    };
    if let Some(cpus) = fields
        .get("cpus")
        .and_then(|field| field.number(problems, CPUS))
    {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.1 to 256"
        )]
        let millis = (cpus * 1000.0).round() as u32;
        resources.cpu_millis = millis;
    }
    let mut read = |key, range, place: &mut u32| {
        if let Some(value) = fields
            .get(key)
            .and_then(|field| field.integer(problems, range))
        {
            *place = value;
        }
    };
    read("memory_mb", MEMORY_MB, &mut resources.memory_mb);
    read("disk_mb", DISK_MB, &mut resources.disk_mb);
    read("pids", PIDS, &mut resources.pids);
    resources
}

/// `experimental_runner` is accepted without effect.
fn check_runner(fields: &Fields<'_>, problems: &mut Problems) {
    if let Some(field) = fields.get("experimental_runner")
        && let Some(fields) = field.fields(problems, &RUNNER_KEYS)
        && let Some(group) = fields.get("group")
    {
        group.string(problems);
    }
}
