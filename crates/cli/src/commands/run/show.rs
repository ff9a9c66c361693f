//! `vm0 run show`.

use super::command::ShowArgs;
use super::outcome::{parse_run_id, print_end, print_start};
use crate::context::Context;
use crate::error::CommandResult;
use crate::events::escape;
use crate::exit::Exit;
use crate::units;

pub(super) async fn execute(context: &Context, args: ShowArgs) -> CommandResult {
    let output = &context.output;
    let run = parse_run_id(&args.run)?;
    let run = context.client()?.run_view(run).await?;
    if output.is_json() {
        output.json(&run)?;
        return Ok(Exit::Done);
    }
    print_start(output, &run)?;
    output.detail(
        "Agent",
        format_args!("{}:{}", run.run.agent_name, run.agent_version.short()),
    )?;
    output.detail("Status", run.run.status)?;
    output.detail("Created", units::local(run.run.created_at))?;
    output.detail("Timeout", format_args!("{} s", run.timeout_seconds))?;
    if run.run.status.is_terminal() {
        print_end(output, &run)?;
    }
    if let Some(text) = &run.output {
        output.line("Output:")?;
        output.line(&escape(text))?;
    }
    Ok(Exit::Done)
}
