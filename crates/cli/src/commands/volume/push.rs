//! `vm0 volume push`.

use vm0_model::storage::StorageKind;

use super::command::PushArgs;
use super::directory::{find, scan_dir};
use super::remote::document;
use super::upload::{PushRequest, push_tree};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::units;

pub(super) async fn execute(context: &Context, kind: StorageKind, args: PushArgs) -> CommandResult {
    let output = &context.output;
    let directory = find(kind, "push")?;
    let client = context.client()?;
    let tree = scan_dir(&directory.root).await?;
    for path in &tree.skipped {
        output.warn(&format!("Skipped {path}: neither a file nor a symlink"));
    }
    let empty = tree.files.is_empty();
    let request = PushRequest {
        kind,
        name: &directory.name,
        root: &directory.root,
        tree,
        message: args.message,
        force: args.force,
        expect: args.expect.as_deref(),
    };
    let pushed = push_tree(&client, output, request).await;
    let outcome = pushed.map_err(|failure| hint_of(failure, kind))?;
    let version = &outcome.version;
    if output.is_json() {
        output.json(&document(&directory.name, kind, version, outcome.changed))?;
        return Ok(Exit::Done);
    }
    let done = match (empty, outcome.uploaded) {
        (true, _) => format!("No files found (empty {kind})"),
        (false, true) => "Upload complete".to_owned(),
        (false, false) => "Content unchanged (deduplicated)".to_owned(),
    };
    output.success(&done)?;
    output.detail("Version", version.id.short())?;
    output.detail("Files", version.file_count)?;
    output.detail("Size", units::bytes(version.size))?;
    Ok(Exit::Done)
}

/// A head that moved has a hint that names the kind.
fn hint_of(failure: Failure, kind: StorageKind) -> Failure {
    if failure.code() == "version_conflict" {
        return failure.only_hint(format!("Get it first: vm0 {kind} pull"));
    }
    failure
}
