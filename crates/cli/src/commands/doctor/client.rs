//! The server that client commands talk to.

use vm0_client::PageQuery;

use super::check::Check;
use crate::context::Context;
use crate::error::chain;

const GROUP: &str = "client";

pub(super) async fn checks(context: &Context) -> Vec<Check> {
    let connection = match context.connection() {
        Ok(connection) => connection,
        Err(failure) => {
            let fix = "Correct VM0_API_URL or the config file";
            return vec![Check::fail(GROUP, "settings", failure.message(), fix)];
        }
    };
    let server = connection.server.to_string();
    let has_token = connection.token.is_some();
    let client = match connection.client(&context.output) {
        Ok(client) => client,
        Err(_) if !has_token => {
            let fix = "Sign in: vm0 auth login";
            return vec![Check::warn(
                GROUP,
                "token",
                format!("none for {server}"),
                fix,
            )];
        }
        Err(failure) => {
            let fix = "Check the certificates of this machine";
            return vec![Check::fail(GROUP, "server", failure.message(), fix)];
        }
    };
    if let Err(error) = client.health().await {
        let fix = "Start one: vm0 serve, or set VM0_API_URL";
        return vec![Check::warn(
            GROUP,
            "server",
            format!("{server}: {}", chain(&error)),
            fix,
        )];
    }
    let reached = Check::ok(GROUP, "server", format!("{server} answers"));
    let token = match client.agent_list(None, &PageQuery::default()).await {
        Ok(_) => Check::ok(GROUP, "token", "accepted"),
        Err(error) => {
            let fix = "Sign in: vm0 auth login";
            Check::fail(GROUP, "token", chain(&error), fix)
        }
    };
    vec![reached, token]
}
