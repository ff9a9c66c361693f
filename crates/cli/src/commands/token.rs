//! `vm0 token` (CLI 2.3 and 6).

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use serde_json::json;
use vm0_client::collect_pages;
use vm0_model::limits::{TOKEN_EXPIRES_DEFAULT_DAYS, TOKEN_EXPIRES_MAX_DAYS};
use vm0_model::token::TokenSecret;
use vm0_model::wire::tokens::TokenCreate;
use vm0_server::{TokenCreateError, TokenFor, TokenRequest, token_create};

use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::events::one_line;
use crate::exit::Exit;
use crate::table::Table;
use crate::units;

/// Label of a token that is made beside the server.
const DEFAULT_LABEL: &str = "cli";

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Your tokens
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 token list")]
    List,
    /// Make a token: your own, or with --user or --runner, on the server's machine, anyone's
    #[command(
        after_help = "Examples:\n  vm0 token create --name laptop\n  vm0 token create --user me\n  \
                      vm0 token create --user ci --name pipeline --expires-in-days 30\n  \
                      vm0 token create --runner build-7"
    )]
    Create(CreateArgs),
    /// Delete one of your tokens
    #[command(after_help = "Examples:\n  vm0 token delete ID")]
    Delete(DeleteArgs),
}

/// Options of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// For this user, made if there is none; needs no server and no signing in
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For a runner of this name; needs no server and no signing in
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "expires_in_days"])]
    runner: Option<String>,
    /// Label, to tell it from others [default with --user and --runner: cli]
    #[arg(long, value_name = "LABEL", required_unless_present_any = ["user", "runner"])]
    name: Option<String>,
    /// Days until it expires
    #[arg(
        long,
        value_name = "N",
        default_value_t = TOKEN_EXPIRES_DEFAULT_DAYS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_EXPIRES_MAX_DAYS))
    )]
    expires_in_days: u32,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Id of the token
    id: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: TokenCommand) -> CommandResult {
    match command {
        TokenCommand::List => list(context).await,
        TokenCommand::Create(args) => create(context, args).await,
        TokenCommand::Delete(args) => delete(context, &args).await,
    }
}

async fn list(context: &Context) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let tokens = collect_pages(None, async |page| client.token_list(&page).await).await?;
    if output.is_json() {
        output.json_list(&tokens)?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        output.note("No tokens.");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["ID", "NAME", "PREFIX", "LAST USED", "EXPIRES"]);
    for token in tokens {
        let used = token.last_used_at.map(|time| units::ago(time, now));
        let expires = match token.expires_at <= now {
            true => "expired".to_owned(),
            false => units::local_date(token.expires_at),
        };
        table.row(vec![
            token.id.to_string(),
            one_line(&token.name),
            token.token_prefix.trim_end_matches('.').to_owned(),
            used.unwrap_or_else(|| "never".to_owned()),
            expires,
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

async fn create(context: &Context, args: CreateArgs) -> CommandResult {
    match (args.user, args.runner) {
        (None, None) => {
            let body = TokenCreate {
                name: args.name.unwrap_or_default(),
                expires_in_days: Some(args.expires_in_days),
            };
            create_own(context, &body).await
        }
        (user, runner) => {
            let user = user.map(TokenFor::User);
            let Some(owner) = runner.map(TokenFor::Runner).or(user) else {
                return Err(Failure::usage("Name the user: --user NAME"));
            };
            let request = TokenRequest {
                owner,
                label: args.name.unwrap_or_else(|| DEFAULT_LABEL.to_owned()),
                expires_in_days: args.expires_in_days,
            };
            create_beside_server(context, request).await
        }
    }
}

async fn create_own(context: &Context, body: &TokenCreate) -> CommandResult {
    let output = &context.output;
    let created = context.client()?.token_create(body).await?;
    if output.is_json() {
        output.json(&created)?;
    } else {
        output.line(&created.secret)?;
    }
    Ok(Exit::Done)
}

async fn create_beside_server(context: &Context, request: TokenRequest) -> CommandResult {
    let made = token_create(&context.data_dir()?, request).await;
    let token = made.map_err(|error| failure_of(&error))?;
    if context.output.is_json() {
        context.output.json(&json!({ "token": token }))?;
    } else {
        context.output.line(&token)?;
    }
    Ok(Exit::Done)
}

fn failure_of(error: &TokenCreateError) -> Failure {
    let failure = Failure::of("token_create", error);
    match error {
        TokenCreateError::Name { .. } | TokenCreateError::Label | TokenCreateError::Expiry => {
            failure.with_exit(Exit::Usage)
        }
        _ => failure,
    }
}

async fn delete(context: &Context, args: &DeleteArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let id = args.id.parse().map_err(|_| {
        Failure::not_found(format!("No such token: '{}'", args.id)).hint("See: vm0 token list")
    })?;
    let token = client.token_view(id).await?;
    if prefix_in_use(context)?.as_ref() == Some(&token.token_prefix) {
        output.warn("This is the token in use");
    }
    confirm_delete(
        output,
        args.yes,
        &format!("the token {}", one_line(&token.name)),
    )?;
    client.token_delete(id).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "id": id, "name": token.name }))?;
    } else {
        output.success(&format!("Token {} deleted", one_line(&token.name)))?;
    }
    Ok(Exit::Done)
}

/// What may be shown of the token that this command signs in with.
fn prefix_in_use(context: &Context) -> Result<Option<String>, Failure> {
    let token = context.connection()?.token;
    let secret = token.and_then(|(token, _)| token.expose_secret().parse::<TokenSecret>().ok());
    Ok(secret.map(|secret| secret.shown_prefix()))
}
