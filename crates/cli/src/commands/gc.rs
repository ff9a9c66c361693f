//! `vm0 gc` (CLI 2.6).

use std::path::Path;
use std::time::Duration;

use clap::Args;
use vm0_runner::garbage::{self, Garbage};
use vm0_server::{GcOptions, GcReport, gc};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::table::Table;
use crate::units;

/// Options of `vm0 gc`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vm0 gc --dry-run\n  vm0 gc --older-than 90")]
pub(crate) struct GcArgs {
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Also events, logs and metrics of runs that ended earlier, and versions salvaged earlier
    #[arg(
        long,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u32).range(1..=36_500)
    )]
    older_than: Option<u32>,
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: GcArgs) -> CommandResult {
    let options = GcOptions {
        dry_run: args.dry_run,
        older_than_days: args.older_than,
        ..GcOptions::default()
    };
    let data_dir = context.data_dir()?;
    let mut report = gc(&data_dir, options).await.map_err(|error| {
        let failure = Failure::of("gc", &error);
        match error {
            vm0_server::GcError::Manifest { .. } => failure.hint("See: vm0 fsck"),
            _ => failure,
        }
    })?;
    let state_dir = data_dir.join("runner");
    for garbage in collect(&state_dir, options.grace, options.dry_run).await? {
        report.add(garbage.kind, garbage.count, garbage.bytes);
    }
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        print(context, &report)?;
    }
    Ok(Exit::Done)
}

/// What the runner of this data directory does not need.
async fn collect(
    state_dir: &Path,
    grace: Duration,
    dry_run: bool,
) -> Result<Vec<Garbage>, Failure> {
    let state_dir = state_dir.to_owned();
    let collected =
        tokio::task::spawn_blocking(move || garbage::collect(&state_dir, grace, dry_run));
    let collected = collected.await.map_err(|error| Failure::of("gc", &error))?;
    collected.map_err(|error| Failure::of("gc", &error))
}

fn print(context: &Context, report: &GcReport) -> std::io::Result<()> {
    let mut table = Table::new(&["KIND", "COUNT", "BYTES"]);
    for item in &report.items {
        let count = item.count.to_string();
        table.row(vec![item.kind.to_owned(), count, units::bytes(item.bytes)]);
    }
    let count: u64 = report.items.iter().map(|item| item.count).sum();
    let sum = units::bytes(report.bytes);
    table.row(vec!["sum".to_owned(), count.to_string(), sum]);
    table.print(&context.output)?;
    if report.waiting > 0 {
        let waiting = report.waiting;
        let text = format!("{waiting} more have no reference and are kept for 24 h");
        context.output.note(&text);
    }
    if report.unfinished {
        context
            .output
            .warn("Commits left no moment to remove everything; run it again");
    }
    Ok(())
}
