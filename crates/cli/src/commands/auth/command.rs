//! The grammar of `vm0 auth`.

use clap::{Args, Subcommand};

use super::{login, logout, status};
use crate::context::Context;
use crate::error::CommandResult;

/// How this machine signs in.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Sign in: shows a code to approve on a page of the server
    #[command(
        after_help = "Examples:\n  vm0 auth login\n  vm0 auth login --api-url https://vm0.example.com\n  \
                      vm0 auth login --token-stdin < token.txt"
    )]
    Login(LoginArgs),
    /// Sign out: removes the stored token here and on the server
    #[command(after_help = "Examples:\n  vm0 auth logout")]
    Logout,
    /// Whether and how you are signed in
    #[command(after_help = "Examples:\n  vm0 auth status\n  vm0 auth status --json")]
    Status,
    /// Print the token in use, for other programs
    #[command(
        after_help = "Examples:\n  vm0 auth setup-token\n  export VM0_API_KEY=\"$(vm0 auth setup-token)\""
    )]
    SetupToken,
}

/// Options of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Read a token from stdin instead of asking for one
    #[arg(long)]
    pub(super) token_stdin: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: AuthCommand) -> CommandResult {
    match command {
        AuthCommand::Login(args) => login::execute(context, &args).await,
        AuthCommand::Logout => logout::execute(context).await,
        AuthCommand::Status => status::execute(context).await,
        AuthCommand::SetupToken => status::setup_token(context),
    }
}
