//! `vm0 bench start`: what is measured in which order.

use clap::Args;

use super::private_server::PrivateServer;
use super::quantiles::Quantiles;
use super::report::{KindReport, print};
use super::{raw, runs, volume};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// The kinds that are measured if nothing is said.
const KINDS: [&str; 2] = ["gvisor", "runc"];

/// Options of `start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Runs one after the other, and again at once
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Only this kind of sandbox [default: gvisor and runc]
    #[arg(long, value_name = "KIND")]
    sandbox: Vec<String>,
    /// Leave the 1 GB volume out
    #[arg(long)]
    no_volume: bool,
}

/// Does it.
pub(super) async fn execute(context: &Context, args: StartArgs) -> CommandResult {
    let kinds = if args.sandbox.is_empty() {
        KINDS.map(str::to_owned).into()
    } else {
        args.sandbox
    };
    let mut reports = Vec::new();
    for kind in &kinds {
        context.output.note(&format!("Measuring {kind}"));
        reports.push(measure(context, kind, args.runs, !args.no_volume).await?);
    }
    if context.output.is_json() {
        context.output.json_list(&reports)?;
    } else {
        print(&context.output, &reports)?;
    }
    let complete = reports.iter().all(KindReport::is_complete);
    Ok(if complete { Exit::Done } else { Exit::Failed })
}

async fn measure(
    context: &Context,
    kind: &str,
    count: u32,
    with_volume: bool,
) -> Result<KindReport, Failure> {
    let server = match PrivateServer::start(kind).await {
        Ok(server) => server,
        Err(failure) => return Ok(KindReport::unavailable(kind, failure.message())),
    };
    let client = server.client()?;
    runs::define_agent(&client).await?;
    let first = runs::one(&client).await?;
    // On both sides of the runs, because a machine's speed drifts.
    let before = raw::measure(kind)?;
    let sequential = runs::sequential(&client, count).await?;
    let after = raw::measure(kind)?;
    let raw_ms = before
        .zip(after)
        .map(|(before, after)| Quantiles::of([before, after].concat()));
    context.output.note(&format!("{count} {kind} runs at once"));
    let concurrent = runs::concurrent(&client, count).await?;
    let volume = if with_volume {
        context
            .output
            .note("Pushing a volume of 1 GB in 10,000 files");
        Some(volume::measure(&client, &context.output).await?)
    } else {
        None
    };
    server.stop().await?;
    Ok(KindReport::new(
        kind,
        raw_ms,
        &first,
        &sequential,
        &concurrent,
        volume,
    ))
}
