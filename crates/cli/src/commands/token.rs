//! `vm0 token` (CLI 2.3).

use clap::{Args, Subcommand};
use serde_json::json;
use vm0_server::{TokenCreateError, TokenFor, TokenRequest, token_create};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, without a server and without signing in
    #[command(
        after_help = "Examples:\n  vm0 token create --user me\n  vm0 token create --user ci --name pipeline --expires-in-days 30\n  \
                      vm0 token create --runner build-7"
    )]
    Create(CreateArgs),
}

/// Options of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// For this user, made if there is none
    #[arg(long, value_name = "NAME", required_unless_present = "runner")]
    user: Option<String>,
    /// For a runner of this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "expires_in_days"])]
    runner: Option<String>,
    /// Label, to tell it from others
    #[arg(long, value_name = "LABEL", default_value = "cli")]
    name: String,
    /// Days until it expires
    #[arg(
        long,
        value_name = "N",
        default_value_t = 90,
        value_parser = clap::value_parser!(u32).range(1..=365)
    )]
    expires_in_days: u32,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: TokenCommand) -> CommandResult {
    let TokenCommand::Create(args) = command;
    let owner = match (args.user, args.runner) {
        (_, Some(runner)) => TokenFor::Runner(runner),
        (Some(user), None) => TokenFor::User(user),
        (None, None) => return Err(Failure::usage("Name the user: --user NAME")),
    };
    let request = TokenRequest {
        owner,
        label: args.name,
        expires_in_days: args.expires_in_days,
    };
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
