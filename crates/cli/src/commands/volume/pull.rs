//! `vm0 volume pull`.

use vm0_client::Client;
use vm0_model::id::VersionId;
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::Storage;

use super::command::PullArgs;
use super::directory::{find, scan_dir};
use super::fetch::{Fetch, fetch};
use super::remote::{self, document};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::units;

pub(super) async fn execute(context: &Context, kind: StorageKind, args: PullArgs) -> CommandResult {
    let output = &context.output;
    let directory = find(kind, "pull")?;
    let client = context.client()?;
    let storage = remote::require(&client, kind, &directory.name).await?;
    let version = remote::resolve(&client, kind, &storage, args.version.as_deref()).await?;
    let present = scan_dir(&directory.root).await?;
    let local = present.version(storage.id);
    let changed = local != version.id;
    if changed {
        let at_risk = !args.force && !present.files.is_empty();
        if at_risk && !is_stored(&client, kind, &storage, local).await? {
            confirm(context)?;
        }
        let root = &directory.root;
        let request = Fetch {
            kind,
            storage: &storage,
            version: &version,
            root,
            present,
        };
        fetch(&client, output, request).await?;
    }
    if output.is_json() {
        output.json(&document(&directory.name, kind, &version, changed))?;
        return Ok(Exit::Done);
    }
    output.success(if changed {
        "Pull complete"
    } else {
        "Already up to date"
    })?;
    output.line(&format!("  version: {}", version.id.short()))?;
    output.line(&format!("  files: {}", version.file_count))?;
    output.line(&format!("  size: {}", units::bytes(version.size)))?;
    Ok(Exit::Done)
}

async fn is_stored(
    client: &Client,
    kind: StorageKind,
    storage: &Storage,
    local: VersionId,
) -> Result<bool, Failure> {
    let versions = remote::versions(client, kind, storage.id).await?;
    Ok(versions.iter().any(|version| version.id == local))
}

fn confirm(context: &Context) -> Result<(), Failure> {
    let message = "Local files were changed and are in no version";
    let failure = Failure::new(Exit::Failed, "local_changes", message)
        .hint("Push them first, or overwrite them with -f");
    if !context.output.can_ask() {
        return Err(failure);
    }
    let agreed = context
        .output
        .confirm(&format!("{message}. Overwrite them?"))?;
    if agreed { Ok(()) } else { Err(failure) }
}
