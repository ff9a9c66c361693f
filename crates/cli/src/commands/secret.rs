//! `vm0 secret` (CLI 6).

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use vm0_client::collect_pages;
use vm0_model::wire::secrets::SecretPut;

use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::hidden_input::hidden_input;
use crate::table::Table;
use crate::units;
use crate::values::stored_name;

/// What to do with stored secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// All secrets, without their values
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 secret list")]
    List,
    /// Store a secret, in the place of an earlier one of the name
    #[command(
        after_help = "Examples:\n  vm0 secret set ANTHROPIC_API_KEY\n  vm0 secret set DEPLOY_KEY < key.pem"
    )]
    Set(SetArgs),
    /// Delete a secret
    #[command(after_help = "Examples:\n  vm0 secret delete ANTHROPIC_API_KEY")]
    Delete(DeleteArgs),
}

/// Options of `set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Capital letters, digits and '_'
    #[arg(value_parser = stored_name)]
    name: String,
    /// The value [default: asked for, or read from stdin]
    #[arg(long, value_name = "VALUE")]
    body: Option<SecretString>,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The secret
    #[arg(value_parser = stored_name)]
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: SecretCommand) -> CommandResult {
    match command {
        SecretCommand::List => list(context).await,
        SecretCommand::Set(args) => set(context, args).await,
        SecretCommand::Delete(args) => delete(context, &args).await,
    }
}

async fn list(context: &Context) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let secrets = collect_pages(None, async |page| client.secret_list(&page).await).await?;
    if output.is_json() {
        output.json_list(&secrets)?;
        return Ok(Exit::Done);
    }
    if secrets.is_empty() {
        output.note("No secrets.");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["NAME", "UPDATED"]);
    for secret in secrets {
        table.row(vec![secret.name, units::ago(secret.updated_at, now)]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

async fn set(context: &Context, args: SetArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = args.name;
    let value = match args.body {
        Some(value) => value,
        None => {
            let question = format!("Value of {name}");
            match hidden_input(output, &question, "--body").await? {
                Some(value) => value,
                None => return Ok(Exit::Interrupted),
            }
        }
    };
    let body = SecretPut {
        value: value.expose_secret().to_owned(),
    };
    client.secret_put(&name, &body).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("Secret {name} saved"))?;
        output.line(&format!("  Use it: ${{{{ secrets.{name} }}}}"))?;
    }
    Ok(Exit::Done)
}

async fn delete(context: &Context, args: &DeleteArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = &args.name;
    confirm_delete(output, args.yes, &format!("the secret {name}"))?;
    client.secret_delete(name).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("Secret {name} deleted"))?;
    }
    Ok(Exit::Done)
}
