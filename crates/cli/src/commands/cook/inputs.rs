//! The directories that a run gets: one for each volume, and `artifact`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vm0_client::{Client, collect_pages};
use vm0_model::config::VolumeConfig;
use vm0_model::name::is_storage_name;
use vm0_model::storage::StorageKind;
use vm0_model::template::{TemplateSource, expand, templates};

use super::step::{Announced, ask, step};
use crate::commands::compose::AgentFile;
use crate::commands::run::RunOptions;
use crate::context::Context;
use crate::env_file;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::Marker;
use crate::interrupt::Interrupt;

/// The directory of the artifact, and its name unless the directory has another one.
pub(super) const ARTIFACT: &str = "artifact";

/// Pushes every volume and the artifact; gives the artifact's name.
pub(super) async fn push_all(
    context: &Context,
    interrupt: &mut Interrupt,
    file: &AgentFile,
    options: &RunOptions,
) -> Result<Announced<String>, Failure> {
    let variables = interrupt.race(variables(context, file, options)).await?;
    for volume in file.agent.volumes.values() {
        let Some(name) = directory_of(volume, &variables)? else {
            continue;
        };
        if let Some(exit) = push(context, interrupt, StorageKind::Volume, &name).await? {
            return Ok(Announced::Ended(exit));
        }
    }
    if let Err(error) = std::fs::create_dir(ARTIFACT)
        && !Path::new(ARTIFACT).is_dir()
    {
        let message = format!("Failed to make the directory {ARTIFACT}: {error}");
        return Err(Failure::new(Exit::Failed, "directory", message));
    }
    if let Some(exit) = push(context, interrupt, StorageKind::Artifact, ARTIFACT).await? {
        return Ok(Announced::Ended(exit));
    }
    Ok(Announced::Done(artifact_name()?))
}

/// Pushes the artifact's directory if somebody has edited it since the last run.
pub(super) async fn push_edited(
    context: &Context,
    interrupt: &mut Interrupt,
) -> Result<Option<Exit>, Failure> {
    if Marker::read(Path::new(ARTIFACT))?.is_none() {
        return Ok(None);
    }
    let status = ask(context, ARTIFACT, &["artifact", "status"]);
    let status = interrupt.race(status).await?;
    let edited = status.is_some_and(|status| status["local"]["state"] == "changed");
    if !edited {
        return Ok(None);
    }
    let exit = step(context, interrupt, ARTIFACT, &["artifact", "push"]).await?;
    Ok((exit != Exit::Done).then_some(exit))
}

/// The name of the artifact that the directory is.
pub(super) fn artifact_name() -> Result<String, Failure> {
    let marker = Marker::read(Path::new(ARTIFACT))?;
    Ok(marker.map_or_else(|| ARTIFACT.to_owned(), |marker| marker.name))
}

/// The directory of a volume, which is named like it; none if it may be missing and is.
fn directory_of(
    volume: &VolumeConfig,
    variables: &BTreeMap<String, String>,
) -> Result<Option<String>, Failure> {
    let name = expand(&volume.name, |_, name| {
        variables.get(name).map(String::as_str)
    });
    if !is_storage_name(&name) {
        let message = format!("'{name}' is not the name of a volume");
        return Err(Failure::new(Exit::Failed, "invalid_name", message));
    }
    if Path::new(&name).is_dir() {
        return Ok(Some(name));
    }
    if volume.optional {
        return Ok(None);
    }
    let message = format!("The directory '{name}' of the volume '{name}' is not there");
    let failure = Failure::new(Exit::Failed, "directory_missing", message);
    Err(failure.hint(format!("Make it: mkdir {name}")))
}

/// Makes a directory a storage of its name, unless it is one, and pushes it; the exit code of the
/// first command that failed.
async fn push(
    context: &Context,
    interrupt: &mut Interrupt,
    kind: StorageKind,
    dir: &str,
) -> Result<Option<Exit>, Failure> {
    let kind_name = kind.to_string();
    match Marker::read(Path::new(dir))? {
        None => {
            let init = [&kind_name, "init", "-n", dir];
            let exit = step(context, interrupt, dir, &init).await?;
            if exit != Exit::Done {
                return Ok(Some(exit));
            }
        }
        Some(marker) if kind == StorageKind::Volume && marker.name != dir => {
            let message = format!(
                "The directory '{dir}' is the {} '{}'",
                marker.kind, marker.name
            );
            let failure = Failure::new(Exit::Failed, "other_name", message);
            let hint = format!(
                "Rename it, or name that volume in vm0.yaml: {}",
                marker.name
            );
            return Err(failure.hint(hint));
        }
        Some(_) => {}
    }
    let exit = step(context, interrupt, dir, &[&kind_name, "push"]).await?;
    Ok((exit != Exit::Done).then_some(exit))
}

/// The variables in names of volumes: options, file, environment, then what the server has stored.
async fn variables(
    context: &Context,
    file: &AgentFile,
    options: &RunOptions,
) -> Result<BTreeMap<String, String>, Failure> {
    let given = match &options.env_file {
        Some(path) => env_file::read(path)?,
        None => BTreeMap::new(),
    };
    let names = file.agent.volumes.values().map(|volume| &volume.name);
    let wanted: BTreeSet<&str> = names
        .flat_map(|text| templates(text))
        .filter(|(source, _)| *source == TemplateSource::Vars)
        .map(|(_, name)| name)
        .collect();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for name in &wanted {
        let option = options.vars.iter().rev().find(|(key, _)| key == name);
        let option = option.map(|(_, value)| value.clone());
        let value = option.or_else(|| given.get(*name).cloned());
        let value = value.or_else(|| crate::config::non_empty(name));
        values.extend(value.map(|value| ((*name).to_owned(), value)));
    }
    if values.len() < wanted.len() {
        let stored = stored(&context.client()?).await?;
        for (name, value) in stored {
            if wanted.contains(name.as_str()) {
                values.entry(name).or_insert(value);
            }
        }
    }
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|name| !values.contains_key(*name))
        .collect();
    match missing.first() {
        None => Ok(values),
        Some(first) => {
            let message = format!("Missing required variables: {}", missing.join(", "));
            let failure = Failure::new(Exit::Failed, "invalid_parameter", message);
            Err(failure.hint(format!(
                "Use '--vars {first}=<value>' or '--env-file <path>' to provide them, or store \
                 it: vm0 variable set {first} VALUE"
            )))
        }
    }
}

async fn stored(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let all = collect_pages(None, async |page| client.variable_list(&page).await).await?;
    Ok(all
        .into_iter()
        .map(|variable| (variable.name, variable.value))
        .collect())
}
