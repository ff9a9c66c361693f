//! From the command line to a command, and from its result to the exit code.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::logging;
use crate::output::Output;

/// Reads the command line, does the command and reports its failure.
pub(crate) fn start() -> Exit {
    vm0_runner::install_crypto_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let context = Context::new(&cli.global);
    let Some(command) = cli.command else {
        let shown = Cli::command().print_help();
        return if shown.is_ok() {
            Exit::Done
        } else {
            Exit::Failed
        };
    };
    if !matches!(command, Command::Serve(_) | Command::Runner(_)) {
        logging::log_requests();
    }
    match run(command, &context) {
        Ok(exit) => exit,
        Err(failure) => context.report(failure),
    }
}

fn run(command: Command, context: &Context) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("runtime", &error))?;
    let result = runtime.block_on(command.execute(context));
    runtime.shutdown_background();
    result
}

/// Help and version go to stdout; everything else is wrong use.
fn refuse(error: &clap::Error) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return if error.print().is_ok() {
            Exit::Done
        } else {
            Exit::Failed
        };
    }
    let json = std::env::args_os().any(|argument| argument == "--json");
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let hint = rest.lines().map(str::trim).filter(|line| !line.is_empty());
    let failure = hint.fold(Failure::usage(message), Failure::hint);
    failure.report(&Output::new(json, false, false))
}
