//! `vm0 variable` (CLI 6).

use clap::{Args, Subcommand};
use serde_json::json;
use vm0_client::collect_pages;
use vm0_model::wire::variables::VariablePut;

use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::CommandResult;
use crate::events::one_line;
use crate::exit::Exit;
use crate::table::Table;
use crate::units;
use crate::values::stored_name;

/// What to do with stored variables.
#[derive(Debug, Subcommand)]
pub(crate) enum VariableCommand {
    /// All variables with their values
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 variable list")]
    List,
    /// Store a variable, in the place of an earlier one of the name
    #[command(
        after_help = "Examples:\n  vm0 variable set REGION eu-west\n  vm0 variable set OFFSET -- -5"
    )]
    Set(SetArgs),
    /// Delete a variable
    #[command(after_help = "Examples:\n  vm0 variable delete REGION")]
    Delete(DeleteArgs),
}

/// Options of `set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Capital letters, digits and '_'
    #[arg(value_parser = stored_name)]
    name: String,
    /// The value, which may be empty
    value: String,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The variable
    #[arg(value_parser = stored_name)]
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: VariableCommand) -> CommandResult {
    match command {
        VariableCommand::List => list(context).await,
        VariableCommand::Set(args) => set(context, args).await,
        VariableCommand::Delete(args) => delete(context, &args).await,
    }
}

async fn list(context: &Context) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let variables = collect_pages(None, async |page| client.variable_list(&page).await).await?;
    if output.is_json() {
        output.json_list(&variables)?;
        return Ok(Exit::Done);
    }
    if variables.is_empty() {
        output.note("No variables.");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["NAME", "UPDATED", "VALUE"]);
    for variable in variables {
        table.row(vec![
            variable.name,
            units::ago(variable.updated_at, now),
            one_line(&variable.value),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

async fn set(context: &Context, args: SetArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = args.name;
    client
        .variable_put(&name, &VariablePut { value: args.value })
        .await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("Variable {name} saved"))?;
        output.line(&format!("  Use it: ${{{{ vars.{name} }}}}"))?;
    }
    Ok(Exit::Done)
}

async fn delete(context: &Context, args: &DeleteArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = &args.name;
    confirm_delete(output, args.yes, &format!("the variable {name}"))?;
    client.variable_delete(name).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("Variable {name} deleted"))?;
    }
    Ok(Exit::Done)
}
