//! From the command line to a command, and from its result to the exit code.

use std::ffi::OsString;
use std::io::Read;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

use crate::args::{Cli, Command};
use crate::commands::completion::VARIABLE;
use crate::commands::cron_words;
use crate::config::non_empty;
use crate::context::Context;
use crate::error::{CommandResult, Failure, chain};
use crate::exit::Exit;
use crate::logging;
use crate::output::Output;

/// Names a file of authorities in PEM.
const CA_FILE: &str = "VM0_CA_FILE";
/// All authorities of an operating system have a third of it.
const CA_FILE_MAX_BYTES: u64 = 1 << 20;

/// Reads the command line, does the command and reports its failure.
pub(crate) fn start() -> Exit {
    vm0_runner::install_crypto_provider();
    if let Some(exit) = complete() {
        return exit;
    }
    let cli = match Cli::try_parse_from(globals_first(std::env::args_os())) {
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
    let done = trust_own_authorities().and_then(|()| run(command, &context));
    match done {
        Ok(exit) => exit,
        Err(failure) => context.report(failure),
    }
}

/// Offers what may come next, if this is a shell that asks for it.
fn complete() -> Option<Exit> {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), here.as_deref());
    match asked {
        Ok(false) => None,
        Ok(true) => Some(Exit::Done),
        Err(_) => Some(Exit::Failed),
    }
}

/// The authorities of a server whose certificate is of none that this machine knows.
fn trust_own_authorities() -> Result<(), Failure> {
    let Some(path) = non_empty(CA_FILE) else {
        return Ok(());
    };
    let refused = |why: String| Failure::usage(format!("Cannot use {CA_FILE} '{path}': {why}"));
    let file = std::fs::File::open(&path).map_err(|error| refused(error.to_string()))?;
    let mut pem = Vec::new();
    let read = file.take(CA_FILE_MAX_BYTES).read_to_end(&mut pem);
    read.map_err(|error| refused(error.to_string()))?;
    vm0_client::trust_also(&pem).map_err(|error| refused(chain(&error)))
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

/// Puts the global options before the command, so that they may stand anywhere before `--` even
/// where a command has both subcommands and arguments of its own.
fn globals_first(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.fuse();
    let mut first: Vec<OsString> = args.by_ref().take(1).collect();
    let mut rest = Vec::new();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") => {
                rest.push(arg);
                rest.extend(args.by_ref());
            }
            Some("--json" | "-q" | "--quiet" | "--no-color") => first.push(arg),
            Some("--api-url" | "--data-dir") => {
                first.push(arg);
                first.extend(args.next());
            }
            Some(text) if text.starts_with("--api-url=") || text.starts_with("--data-dir=") => {
                first.push(arg);
            }
            _ => rest.push(arg),
        }
    }
    first.extend(rest);
    first
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
    let args = std::env::args_os();
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let output = Output::new(args.iter().any(|arg| arg == "--json"), false, false);
    if let Some(failure) = cron_words::unquoted(&args) {
        return failure.report(&output);
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let hint = rest.lines().map(str::trim).filter(|line| !line.is_empty());
    let failure = hint.fold(Failure::usage(message), Failure::hint);
    failure.report(&output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Cli {
        let args = line.split(' ').map(OsString::from);
        Cli::try_parse_from(globals_first(args)).expect("the line is right")
    }

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere_before_the_double_dash() {
        for line in [
            "vm0 --json run list",
            "vm0 run --json list",
            "vm0 run list --json",
        ] {
            assert!(parse(line).global.json, "{line}");
        }
        let cli = parse("vm0 run --data-dir /d demo -- --json");
        assert!(!cli.global.json);
        assert_eq!(cli.global.data_dir, Some("/d".into()));
    }
}
