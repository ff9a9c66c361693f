//! The grammar of `vm0 exec`, and what it asks the server for.

use std::io::{self, IsTerminal};

use clap::Args;
use vm0_model::wire::exec::ExecStart;

use super::session::Session;
use super::terminal::{self, RawTerminal};
use crate::commands::run::parse_run_id;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::values::key_value;

const TERM: &str = "TERM";

/// Options of `exec`. `-t` and `-i` are the default if stdin and stdout are terminals.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 exec RUN -- ls -l\n  vm0 exec RUN -- bash\n  \
                  tar c src | vm0 exec RUN -i -- tar x -C /tmp"
)]
pub(crate) struct ExecArgs {
    /// Id of the run
    run: String,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Working directory [default: that of the agent]
    #[arg(short, long, value_name = "DIR", value_parser = absolute)]
    workdir: Option<String>,
    /// Variable beside those of the agent, again for each
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    env: Vec<(String, String)>,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("it must begin with /".to_owned()),
    }
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: ExecArgs) -> CommandResult {
    let run = parse_run_id(&args.run)?;
    let at_terminal = io::stdin().is_terminal();
    let neither = !args.tty && !args.interactive;
    let by_default = neither && at_terminal && io::stdout().is_terminal();
    let tty = args.tty || by_default;
    let interactive = args.interactive || by_default;
    let start = start(&args, tty);
    if start.command[0].is_empty() {
        return Err(Failure::usage("The command has no name"));
    }
    let client = context.client()?;
    let connection = client.run_exec(run, &start).await?;
    // From here on every way out gives the terminal back as it was.
    let raw = match tty && interactive && at_terminal {
        true => Some(RawTerminal::begin()?),
        false => None,
    };
    let ended = Session::new(connection, interactive, tty).serve().await;
    drop(raw);
    ended
}

fn start(args: &ExecArgs, tty: bool) -> ExecStart {
    let mut env: std::collections::BTreeMap<_, _> = args.env.iter().cloned().collect();
    if tty
        && !env.contains_key(TERM)
        && let Ok(term) = std::env::var(TERM)
    {
        env.insert(TERM.to_owned(), term);
    }
    ExecStart {
        command: args.command.clone(),
        cwd: args.workdir.clone(),
        env,
        tty: tty.then(terminal::size),
    }
}
