//! `vm0 run kill`.

use super::command::KillArgs;
use super::outcome::parse_run_id;
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;

pub(super) async fn execute(context: &Context, args: KillArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let ids = args
        .runs
        .iter()
        .map(|text| parse_run_id(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut cancelled = Vec::new();
    for id in ids {
        cancelled.push(client.run_cancel(id).await?);
        if !output.is_json() {
            output.success(&format!("Run {id} cancelled"))?;
        }
    }
    if output.is_json() {
        output.json_list(&cancelled)?;
    }
    Ok(Exit::Done)
}
