//! The grammar of `vm0 logs`.

use clap::{ArgGroup, Args};
use clap_complete::ArgValueCompleter;
use vm0_model::event::{LogKind, LogLevel};
use vm0_model::id::RunId;
use vm0_model::time::Timestamp;

use super::{entries, follow, metrics};
use crate::commands::completion;
use crate::commands::run::parse_run_id;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::values::time;

/// Entries that are shown if nothing is said.
const TAIL_DEFAULT: usize = 20;

/// Options of `vm0 logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 logs RUN\n  vm0 logs RUN --follow\n  vm0 logs RUN --system --tail all\n  \
                  vm0 logs RUN --network --level warn"
)]
pub(crate) struct LogsArgs {
    /// Id of the run
    #[arg(add = ArgValueCompleter::new(completion::runs))]
    run: String,
    #[command(flatten)]
    options: LogsOptions,
}

/// What of a run's logs.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["agent", "system", "metrics", "network"]))]
pub(crate) struct LogsOptions {
    /// What the agent said (default)
    #[arg(short, long)]
    agent: bool,
    /// What the platform did
    #[arg(short, long)]
    system: bool,
    /// What the sandbox used
    #[arg(short, long)]
    metrics: bool,
    /// What the gateway saw
    #[arg(short, long)]
    network: bool,
    /// Go on until the run ends
    #[arg(short, long, conflicts_with_all = ["head", "until"])]
    follow: bool,
    /// Not before: 30s, 5m, 2h, 1d ago, ISO 8601, unix seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Not after
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Last N entries, or all [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "head", value_parser = tail)]
    tail: Option<Tail>,
    /// First N entries
    #[arg(long, value_name = "N")]
    head: Option<usize>,
    /// Exactly this level: debug, info, warn, error
    #[arg(long, value_parser = level)]
    level: Option<LogLevel>,
    /// Whole inputs and outputs of tools, reasoning, unknown events
    #[arg(short, long)]
    verbose: bool,
}

/// How many of the last entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    All,
    Last(usize),
}

/// Which entries are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// All of them.
    All,
    /// The first.
    Head(usize),
    /// The last.
    Tail(usize),
}

/// What is shown.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The log.
    pub(super) kind: LogKind,
    /// Exactly this level.
    pub(super) level: Option<LogLevel>,
    /// Not before.
    pub(super) since: Option<Timestamp>,
    /// Not after.
    pub(super) until: Option<Timestamp>,
    /// Which of them.
    pub(super) window: Window,
    /// Agent events in full.
    pub(super) verbose: bool,
}

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail::All),
        _ => text
            .parse()
            .map(Tail::Last)
            .map_err(|_| "write a number or 'all'".to_owned()),
    }
}

fn level(text: &str) -> Result<LogLevel, String> {
    [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ]
    .into_iter()
    .find(|level| level.as_str() == text)
    .ok_or_else(|| "write debug, info, warn or error".to_owned())
}

impl LogsOptions {
    fn wanted(&self) -> Wanted {
        let kind = if self.system {
            LogKind::System
        } else if self.network {
            LogKind::Network
        } else {
            LogKind::Agent
        };
        let window = match (self.head, self.tail) {
            (Some(head), _) => Window::Head(head),
            (None, Some(Tail::All)) => Window::All,
            (None, Some(Tail::Last(count))) => Window::Tail(count),
            (None, None) if self.follow || self.since.is_some() => Window::All,
            (None, None) => Window::Tail(TAIL_DEFAULT),
        };
        Wanted {
            kind,
            level: self.level,
            since: self.since,
            until: self.until,
            window,
            verbose: self.verbose,
        }
    }
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: LogsArgs) -> CommandResult {
    let run = parse_run_id(&args.run)?;
    show(context, run, &args.options).await
}

/// Shows the logs of a run.
pub(crate) async fn show(context: &Context, run: RunId, args: &LogsOptions) -> CommandResult {
    if args.level.is_some() && !args.system && !args.network {
        return Err(Failure::usage("--level needs --system or --network"));
    }
    let client = context.client()?;
    let wanted = args.wanted();
    match (args.metrics, args.follow) {
        (true, follow) => metrics::execute(context, &client, run, &wanted, follow).await,
        (false, true) => follow::execute(context, &client, run, &wanted).await,
        (false, false) => entries::execute(context, &client, run, &wanted).await,
    }
}
