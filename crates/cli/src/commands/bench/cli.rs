//! `vm0 bench cli`: how long a command takes, from its start as a process to its end.

use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;

use super::api::define_agent;
use super::figure::{Figure, Target, print};
use super::private_server::PrivateServer;
use super::quantiles::Quantiles;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

const AGENT: &str = "bench-shell";
const VERSION: Target = Target::AtMost(10.0);
const RUN_LIST: Target = Target::AtMost(30.0);

/// Options of `cli`.
#[derive(Debug, Args)]
pub(crate) struct CliArgs {
    /// How often each command is run
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
}

/// Does it.
pub(super) async fn execute(context: &Context, args: CliArgs) -> CommandResult {
    let server = PrivateServer::without_runner(None).await?;
    define_agent(&server, AGENT).await?;
    let vm0 = std::env::current_exe()?;
    let of_vm0 = |arguments: &[&str]| {
        let mut command = Command::new(&vm0);
        command
            .args(arguments)
            .env("VM0_API_URL", server.url())
            .env("VM0_TOKEN", server.token())
            .env_remove("VM0_API_KEY");
        command
    };
    let mut git = Command::new("git");
    git.arg("--version");
    let mut figures = Vec::new();
    for (what, mut command, target) in [
        ("git --version (floor)", git, None),
        ("vm0 --version", of_vm0(&["--version"]), Some(VERSION)),
        (
            "vm0 run list",
            of_vm0(&["run", "list", "--all"]),
            Some(RUN_LIST),
        ),
    ] {
        context.output.note(&format!("Measuring {what}"));
        let times = measure(&mut command, args.repeats)?;
        let median = Figure::new(format!("{what}: median"), times.p50, "ms");
        figures.push(match target {
            Some(target) => median.with(target),
            None => median,
        });
        figures.push(Figure::new(format!("{what}: p99"), times.p99, "ms"));
    }
    server.stop().await?;
    print(&context.output, &figures)
}

fn measure(command: &mut Command, repeats: u32) -> Result<Quantiles, Failure> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut times = Vec::new();
    for _ in 0..repeats {
        let started = Instant::now();
        let status = command.status()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            let message = format!("Failed to run {command:?}: {status}");
            return Err(Failure::new(Exit::Failed, "bench_command", message));
        }
    }
    Ok(Quantiles::of(times))
}
