//! `vm0 volume versions`.

use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{Storage, StorageVersion};

use super::command::VersionsArgs;
use super::directory::find;
use super::remote;
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::table::Table;
use crate::units;

pub(super) async fn execute(
    context: &Context,
    kind: StorageKind,
    args: VersionsArgs,
) -> CommandResult {
    let output = &context.output;
    let name = match args.name {
        Some(name) => name,
        None => find(kind, "versions")?.name,
    };
    let client = context.client()?;
    let storage = remote::require(&client, kind, &name).await?;
    let versions = remote::versions(&client, kind, storage.id).await?;
    if output.is_json() {
        output.json_list(&versions)?;
        return Ok(Exit::Done);
    }
    if versions.is_empty() {
        output.note("No versions.");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["VERSION", "FILES", "SIZE", "CREATED", "BY", "MESSAGE"]);
    for version in &versions {
        table.row(vec![
            format!("{}{}", version.id.short(), mark(&storage, version)),
            version.file_count.to_string(),
            units::bytes(version.size),
            units::ago(version.created_at, now),
            version.created_by.clone(),
            version.message.clone().unwrap_or_default(),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

fn mark(storage: &Storage, version: &StorageVersion) -> &'static str {
    if storage.current_version_id == Some(version.id) {
        " (head)"
    } else if version
        .artifact
        .as_ref()
        .is_some_and(|fields| fields.salvaged)
    {
        " (salvaged)"
    } else {
        ""
    }
}
