//! `vm0 auth status` and `vm0 auth setup-token`: the token in use.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use vm0_client::{Client, PageQuery, ServerUrl};
use vm0_model::token::TokenSecret;

use crate::config::TokenSource;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::output::Output;

const SIGN_IN: &str = "Sign in: vm0 auth login";

pub(super) async fn execute(context: &Context) -> CommandResult {
    let output = &context.output;
    let connection = context.connection()?;
    connection.warn_if_plain(output);
    let server = connection.server;
    let Some((token, source)) = connection.token else {
        return not_authenticated(output, &server, None, "Not authenticated");
    };
    let prefix = shown(&token);
    let client = Client::new(server.clone(), token)?;
    match client.token_list(&PageQuery::default()).await {
        Ok(_) => {}
        Err(error) if error.status() == Some(401) => {
            let message = format!("Not authenticated: the server refused the token of {source}");
            return not_authenticated(output, &server, Some((prefix, source)), &message);
        }
        Err(error) => return Err(error.into()),
    }
    if output.is_json() {
        output.json(&document(true, &server, Some((prefix, source))))?;
        return Ok(Exit::Done);
    }
    output.success("Authenticated")?;
    output.detail("Server", &server)?;
    output.detail("Token", prefix.unwrap_or_default())?;
    output.detail("Source", source.label())?;
    Ok(Exit::Done)
}

fn not_authenticated(
    output: &Output,
    server: &ServerUrl,
    token: Option<(Option<String>, TokenSource)>,
    message: &str,
) -> CommandResult {
    if output.is_json() {
        output.json(&document(false, server, token))?;
        return Ok(Exit::NotAuthenticated);
    }
    let failure = Failure::new(Exit::NotAuthenticated, "not_authenticated", message);
    Err(failure.hint(SIGN_IN))
}

fn document(
    authenticated: bool,
    server: &ServerUrl,
    token: Option<(Option<String>, TokenSource)>,
) -> serde_json::Value {
    let (prefix, source) = token.map_or((None, None), |(prefix, source)| (prefix, Some(source)));
    json!({
        "authenticated": authenticated,
        "api_url": server.to_string(),
        "token_prefix": prefix,
        "source": source.map(TokenSource::label),
    })
}

/// What may be shown of a token; nothing of a text that is none.
fn shown(token: &SecretString) -> Option<String> {
    let secret: TokenSecret = token.expose_secret().parse().ok()?;
    Some(secret.shown_prefix())
}

pub(super) fn setup_token(context: &Context) -> CommandResult {
    let output = &context.output;
    let Some((token, _)) = context.connection()?.token else {
        let failure = Failure::new(
            Exit::NotAuthenticated,
            "not_authenticated",
            "Not authenticated",
        );
        return Err(failure
            .hint("1. Start a server, or choose one: vm0 serve, or set VM0_API_URL")
            .hint("2. Sign in: vm0 auth login")
            .hint("3. Print the token: vm0 auth setup-token"));
    };
    let token = token.expose_secret();
    if output.is_json() {
        output.json(&json!({ "token": token }))?;
    } else {
        output.line(token)?;
        output.note("Use it elsewhere: export VM0_API_KEY=\"$(vm0 auth setup-token)\"");
    }
    Ok(Exit::Done)
}
