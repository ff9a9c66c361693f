//! `vm0 logs` without `--follow`.

use vm0_client::{Client, LogQuery, collect_pages};
use vm0_model::event::LogKind;
use vm0_model::id::RunId;
use vm0_model::wire::runs::LogLine;

use super::command::{Wanted, Window};
use super::lines::lines_of;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::events::{EventView, terminal_width};
use crate::exit::Exit;

pub(super) async fn execute(
    context: &Context,
    client: &Client,
    run: RunId,
    wanted: &Wanted,
) -> CommandResult {
    let output = &context.output;
    let (entries, more) = read(client, run, wanted).await?;
    if output.is_json() {
        output.json_list(&entries)?;
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        output.note(&format!("No {} logs.", wanted.kind.as_str()));
        return Ok(Exit::Done);
    }
    print(context, wanted, &entries)?;
    if more {
        output.note(&left_out(wanted, &entries));
    }
    Ok(Exit::Done)
}

/// The entries of the window, oldest first, and whether entries were left out.
pub(super) async fn read(
    client: &Client,
    run: RunId,
    wanted: &Wanted,
) -> Result<(Vec<LogLine>, bool), Failure> {
    let descending = matches!(wanted.window, Window::Tail(_));
    let query = LogQuery {
        kind: Some(wanted.kind),
        level: wanted.level,
        since: wanted.since,
        until: wanted.until,
        descending,
    };
    let limit = match wanted.window {
        Window::All => None,
        Window::Head(count) | Window::Tail(count) => Some(count),
    };
    // One more than asked for tells whether there is more.
    let fetched = limit.map(|limit| limit.saturating_add(1));
    let mut entries = collect_pages(fetched, async |page| {
        client.run_logs(run, &query, &page).await
    })
    .await?;
    let more = limit.is_some_and(|limit| entries.len() > limit);
    entries.truncate(limit.unwrap_or(usize::MAX));
    if descending {
        entries.reverse();
    }
    Ok((entries, more))
}

/// Prints entries as text.
fn print(context: &Context, wanted: &Wanted, entries: &[LogLine]) -> Result<(), Failure> {
    let mut view = EventView::new(wanted.verbose, terminal_width());
    for entry in entries {
        for line in lines_of(&mut view, entry) {
            context.output.line(&line)?;
        }
    }
    for line in view.flush() {
        context.output.line(&line)?;
    }
    Ok(())
}

/// The note that so many entries were left out.
pub(super) fn more_entries(count: u64) -> String {
    let entries = if count == 1 { "entry" } else { "entries" };
    format!("{count} more {entries}; use --tail all")
}

/// How many entries were left out: agent entries are numbered, of the others it is not known.
fn left_out(wanted: &Wanted, entries: &[LogLine]) -> String {
    let numbered = wanted.kind == LogKind::Agent
        && wanted.since.is_none()
        && matches!(wanted.window, Window::Tail(_));
    let first = entries.first().and_then(|entry| entry.metadata.as_ref());
    match first.and_then(|metadata| metadata["sequenceNumber"].as_u64()) {
        Some(number) if numbered => more_entries(number - 1),
        _ => "More entries; use --tail all".to_owned(),
    }
}
