//! `vm0 volume init`.

use std::io::Write;

use serde_json::json;
use vm0_model::name::is_storage_name;
use vm0_model::storage::StorageKind;

use super::command::InitArgs;
use super::directory::current_dir;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::files::Marker;

pub(super) fn execute(context: &Context, kind: StorageKind, args: InitArgs) -> CommandResult {
    let dir = current_dir()?;
    if let Some(marker) = Marker::read(&dir)? {
        let message = format!("Already initialised: {} '{}'", marker.kind, marker.name);
        return Err(Failure::new(Exit::Failed, "already_initialised", message));
    }
    let proposed = dir
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let proposed = proposed.unwrap_or_default();
    let name = match args.name {
        Some(name) => name,
        None if context.output.can_ask() => ask(&proposed)?,
        None => proposed,
    };
    if !is_storage_name(&name) {
        let message = format!("Invalid {kind} name: '{name}'");
        let failure = Failure::new(Exit::Failed, "invalid_name", message);
        return Err(failure.hint(
            "Use 1-64 lower-case letters, digits or '-', beginning and ending with a letter or digit",
        ));
    }
    Marker {
        name: name.clone(),
        kind,
    }
    .write(&dir)?;
    let output = &context.output;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name, "type": kind }))?;
    } else {
        output.success(&format!("Initialised {kind}: {name}"))?;
        output.note(&format!("Next: vm0 {kind} push"));
    }
    Ok(Exit::Done)
}

fn ask(proposed: &str) -> std::io::Result<String> {
    let mut stderr = std::io::stderr();
    write!(stderr, "Name [{proposed}]: ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { proposed } else { answer }.to_owned())
}
