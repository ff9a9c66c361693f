//! `vm0 auth login`.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use vm0_client::{Client, PageQuery, ServerUrl};
use vm0_model::token::{TokenKind, TokenSecret};

use super::command::LoginArgs;
use super::device;
use crate::config::TokenSource;
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::hidden_input::hidden_input;
use crate::output::Output;
use crate::stop_signal::StopSignal;

pub(super) async fn execute(context: &Context, args: &LoginArgs) -> CommandResult {
    let output = &context.output;
    let connection = context.connection()?;
    ConfigFile::read()?.place()?;
    connection.warn_if_plain(output);
    let server = connection.server;
    let token = match args.token_stdin {
        true => hidden_input(output, "API token", "a pipe").await?,
        false => approved(output, &server).await?,
    };
    let Some(mut token) = token else {
        return Ok(Exit::Interrupted);
    };
    if args.token_stdin {
        token = checked(&server, &token).await?;
    }
    ConfigFile::read()?.store(&server, &token)?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "api_url": server.to_string() }))?;
    } else {
        output.success(&format!("Signed in to {server}"))?;
    }
    if let Some(source) = TokenSource::of_environment() {
        output.warn(&format!("{source} is set and is used instead"));
    }
    Ok(Exit::Done)
}

/// The token of a code that is approved; `None` if the user breaks off.
async fn approved(output: &Output, server: &ServerUrl) -> Result<Option<SecretString>, Failure> {
    let mut signal = StopSignal::listen()?;
    tokio::select! {
        token = device::token(output, server) => token.map(Some),
        () = signal.received() => Ok(None),
    }
}

/// The token, if the server takes it.
async fn checked(server: &ServerUrl, given: &SecretString) -> Result<SecretString, Failure> {
    let token = SecretString::from(given.expose_secret().trim());
    let refused = || {
        let message = "The server refused the token on stdin";
        let failure = Failure::new(Exit::NotAuthenticated, "token_refused", message);
        failure.hint("Sign in: vm0 auth login")
    };
    let form = token.expose_secret().parse::<TokenSecret>();
    if !form.is_ok_and(|token| token.kind() == TokenKind::Live) {
        return Err(refused());
    }
    let client = Client::new(server.clone(), token.clone())?;
    match client.token_list(&PageQuery::default()).await {
        Ok(_) => Ok(token),
        Err(error) if error.status() == Some(401) => Err(refused()),
        Err(error) => Err(error.into()),
    }
}
