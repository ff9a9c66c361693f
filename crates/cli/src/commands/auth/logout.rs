//! `vm0 auth logout`.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use vm0_client::{Client, ClientError, ServerUrl, collect_pages};
use vm0_model::token::TokenSecret;

use crate::config::TokenSource;
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CommandResult, chain};
use crate::exit::Exit;
use crate::output::Output;

/// What became of the token on the server.
enum Deleted {
    /// It is gone, or was.
    Gone,
    /// Two tokens look like it.
    Ambiguous,
}

pub(super) async fn execute(context: &Context) -> CommandResult {
    let output = &context.output;
    let file = ConfigFile::read()?;
    let (server, token) = (file.server()?, file.token()?);
    let had_token = token.is_some();
    file.forget()?;
    if let (Some(server), Some(token)) = (server, token) {
        delete_there(output, &server, token).await;
    }
    if output.is_json() {
        output.json(&json!({ "ok": true }))?;
    } else if had_token {
        output.success("Signed out")?;
    } else {
        output.note("No token was stored.");
    }
    if let Some(source) = TokenSource::of_environment() {
        output.warn(&format!(
            "{source} is still set and is used; unset {source}"
        ));
    }
    Ok(Exit::Done)
}

async fn delete_there(output: &Output, server: &ServerUrl, token: SecretString) {
    let see = "delete it there: vm0 token list";
    match delete(server, token).await {
        Ok(Deleted::Gone) => {}
        Ok(Deleted::Ambiguous) => output.warn(&format!(
            "Several tokens look like the stored one, which is still valid on {server}; {see}"
        )),
        Err(error) if error.status() == Some(401) => {}
        Err(error) => output.warn(&format!(
            "The token is still valid on {server}: failed to {}; {see}",
            chain(&error)
        )),
    }
}

/// Deletes the token with itself. The server tells tokens apart by what may be shown of them.
async fn delete(server: &ServerUrl, token: SecretString) -> Result<Deleted, ClientError> {
    let Ok(secret) = token.expose_secret().parse::<TokenSecret>() else {
        return Ok(Deleted::Gone);
    };
    let client = Client::new(server.clone(), token)?;
    let tokens = collect_pages(None, async |page| client.token_list(&page).await).await?;
    let prefix = secret.shown_prefix();
    let alike: Vec<_> = tokens.iter().filter(|t| t.token_prefix == prefix).collect();
    match alike.as_slice() {
        [token] => client.token_delete(token.id).await.map(|()| Deleted::Gone),
        _ => Ok(Deleted::Ambiguous),
    }
}
