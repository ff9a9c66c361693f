//! `vm0 fsck`: whether every stored byte is what it was.

use clap::Args;
use vm0_server::{FsckReport, fsck};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// Options of `vm0 fsck`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vm0 fsck\n  vm0 fsck --json")]
pub(crate) struct FsckArgs {}

/// Does it.
pub(crate) async fn execute(context: &Context, _args: FsckArgs) -> CommandResult {
    let report = fsck(&context.data_dir()?)
        .await
        .map_err(|error| Failure::of("fsck", &error))?;
    if context.output.is_json() {
        context.output.json(&report)?;
    } else {
        print(context, &report)?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

fn print(context: &Context, report: &FsckReport) -> std::io::Result<()> {
    let output = &context.output;
    for item in &report.items {
        let (state, kind, id) = (item.state.as_str(), item.kind, &item.id);
        match &item.detail {
            Some(detail) => output.line(&format!("{state} {kind} {id}: {detail}"))?,
            None => output.line(&format!("{state} {kind} {id}"))?,
        }
    }
    let checked = report.checked;
    let faults = report
        .items
        .iter()
        .filter(|item| item.state.is_fault())
        .count();
    if report.ok {
        return output.success(&format!("{checked} objects are sound"));
    }
    output.error(&format!("{faults} of {checked} objects are damaged"), &[]);
    Ok(())
}
