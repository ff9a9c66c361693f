//! `vm0 audit`: who did what on a server.

use clap::Args;
use vm0_model::time::Timestamp;
use vm0_server::{AuditError, AuditLine, AuditReader};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::events::escape;
use crate::exit::Exit;
use crate::values::time;

/// Options of `vm0 audit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 audit --data-dir /var/lib/vm0\n  vm0 audit --since 1d --json"
)]
pub(crate) struct AuditArgs {
    /// Only actions since then: 30s, 5m, 2h, 1d ago, ISO 8601, unix seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: AuditArgs) -> CommandResult {
    let output = &context.output;
    let since = args.since.unwrap_or(Timestamp::from_micros(0));
    let failed = |error: AuditError| Failure::of("audit", &error);
    let mut reader = AuditReader::open(&context.data_dir()?, since)
        .await
        .map_err(failed)?;
    let mut all = Vec::new();
    loop {
        let lines = reader.page().await.map_err(failed)?;
        if lines.is_empty() {
            break;
        }
        if output.is_json() {
            all.extend(lines);
            continue;
        }
        for line in &lines {
            output.line(&text(line))?;
        }
    }
    if output.is_json() {
        output.json_list(&all)?;
    }
    Ok(Exit::Done)
}

/// In UTC, so that lines of several machines sort.
fn text(line: &AuditLine) -> String {
    let mut text = format!(
        "{} {} {}: {}",
        line.timestamp,
        line.action,
        escape(&line.object),
        escape(&line.who)
    );
    if let Some(token) = line.token_id {
        text.push_str(&format!(", token {token}"));
    }
    if let Some(address) = &line.address {
        text.push_str(&format!(", from {}", escape(address)));
    }
    text
}
