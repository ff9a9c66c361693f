//! `vm0 volume delete`.

use serde_json::json;
use vm0_model::storage::StorageKind;

use super::command::DeleteArgs;
use super::remote;
use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;

pub(super) async fn execute(
    context: &Context,
    kind: StorageKind,
    args: DeleteArgs,
) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = &args.name;
    let storage = remote::require(&client, kind, name).await?;
    confirm_delete(
        output,
        args.yes,
        &format!("the {kind} {name} and all its versions"),
    )?;
    client.storage_delete(kind, storage.id).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("{} {name} deleted", kind.title()))?;
    }
    Ok(Exit::Done)
}
