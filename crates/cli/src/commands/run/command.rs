//! The grammar of `vm0 run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vm0_model::id::{CheckpointId, SessionId};
use vm0_model::run::RunStatus;
use vm0_model::time::Timestamp;

use super::start::Selector;
use super::{kill, list, network, show, start};
use crate::commands::completion;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::values::{AgentRef, agent_ref, key_value, key_value_or_environment, time, version_ref};

/// `vm0 run AGENT PROMPT`, or a subcommand. An agent named like one is written `list:latest`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  vm0 run my-agent \"Summarise the books\" --artifact-name report\n  \
                  vm0 run my-agent - < prompt.txt\n  vm0 run continue SESSION \"And now the rest\"\n  \
                  vm0 run list --all"
)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    command: Option<RunCommand>,
    /// NAME, NAME:VERSION or the agent's id
    #[arg(
        required = true,
        value_parser = agent_ref,
        add = ArgValueCompleter::new(completion::agents),
    )]
    agent: Option<AgentRef>,
    /// What the agent is asked; - reads it from stdin
    #[arg(required = true)]
    prompt: Option<String>,
    #[command(flatten)]
    options: RunOptions,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    /// Go on with a session
    #[command(after_help = "Examples:\n  vm0 run continue SESSION \"And now the rest\"")]
    Continue(ContinueArgs),
    /// Go on from a checkpoint
    #[command(after_help = "Examples:\n  vm0 run resume CHECKPOINT \"Try another way\"")]
    Resume(ResumeArgs),
    /// Pending and running runs
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  vm0 run list --all --since 1d"
    )]
    List(ListArgs),
    /// Everything about one run
    #[command(after_help = "Examples:\n  vm0 run show RUN")]
    Show(ShowArgs),
    /// The network policy of a run, or another one for it
    #[command(
        after_help = "Examples:\n  vm0 run network RUN\n  vm0 run network RUN --file policy.yaml\n  \
                      echo 'mode: none' | vm0 run network RUN --file -"
    )]
    Network(NetworkArgs),
    /// Cancel runs
    #[command(after_help = "Examples:\n  vm0 run kill RUN")]
    Kill(KillArgs),
}

/// Options of a new run.
#[derive(Debug, Default, Args)]
pub(crate) struct RunOptions {
    /// Variable, again for each; KEY alone takes the value from the environment
    #[arg(long, alias = "var", value_name = "KEY=VALUE", value_parser = key_value_or_environment)]
    pub(crate) vars: Vec<(String, String)>,
    /// Secret, again for each; KEY alone takes the value from the environment
    #[arg(long, alias = "secret", value_name = "KEY=VALUE", value_parser = key_value_or_environment)]
    pub(crate) secrets: Vec<(String, String)>,
    /// File of NAME=VALUE lines for both
    #[arg(long, value_name = "PATH")]
    pub(crate) env_file: Option<PathBuf>,
    /// Artifact of the working directory [default: none]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::artifacts))]
    pub(crate) artifact_name: Option<String>,
    /// Version of the artifact [default: its head]
    #[arg(long, value_name = "VERSION", value_parser = version_ref)]
    pub(crate) artifact_version: Option<String>,
    /// Version of a volume by its key in vm0.yaml, again for each [default: that of vm0.yaml]
    #[arg(long, value_name = "KEY=VERSION", value_parser = key_value)]
    pub(crate) volume_version: Vec<(String, String)>,
    /// End the run after this many seconds [default: that of the agent]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: Option<u32>,
    /// Print only the run's id and leave
    #[arg(short, long, conflicts_with = "jsonl")]
    pub(crate) detach: bool,
    /// The event stream as JSON lines
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Whole inputs and outputs of tools, reasoning, unknown events
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
struct ContinueArgs {
    /// Id of the session
    session: SessionId,
    /// What the agent is asked; - reads it from stdin
    prompt: String,
    /// Version of the agent [default: its current one]
    #[arg(long, value_name = "VERSION", value_parser = version_ref)]
    agent_version: Option<String>,
    #[command(flatten)]
    options: RunOptions,
}

#[derive(Debug, Args)]
struct ResumeArgs {
    /// Id of the checkpoint
    checkpoint: CheckpointId,
    /// What the agent is asked; - reads it from stdin
    prompt: String,
    /// Version of the agent [default: that of the checkpoint]
    #[arg(long, value_name = "VERSION", value_parser = version_ref)]
    agent_version: Option<String>,
    #[command(flatten)]
    options: RunOptions,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Ended runs too
    #[arg(long)]
    pub(super) all: bool,
    /// Only runs in this state
    #[arg(long)]
    pub(super) status: Option<RunStatus>,
    /// Only runs of this agent
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::agents))]
    pub(super) agent: Option<String>,
    /// Only runs created since then: 30s, 5m, 2h, 1d ago, ISO 8601, unix seconds
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) since: Option<Timestamp>,
    /// At most this many, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the run
    #[arg(add = ArgValueCompleter::new(completion::runs))]
    pub(super) run: String,
}

/// Options of `network`.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    /// Id of the run
    #[arg(add = ArgValueCompleter::new(completion::runs))]
    pub(super) run: String,
    /// File of the new policy, as `network` in vm0.yaml; - reads it from stdin
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,
}

/// Options of `kill`.
#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Ids of the runs
    #[arg(required = true, value_name = "RUN", add = ArgValueCompleter::new(completion::runs))]
    pub(super) runs: Vec<String>,
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: RunArgs) -> CommandResult {
    let (selector, prompt, options) = match args.command {
        Some(RunCommand::List(args)) => return list::execute(context, args).await,
        Some(RunCommand::Show(args)) => return show::execute(context, args).await,
        Some(RunCommand::Network(args)) => return network::execute(context, args).await,
        Some(RunCommand::Kill(args)) => return kill::execute(context, args).await,
        Some(RunCommand::Continue(ContinueArgs {
            session,
            prompt,
            agent_version,
            options,
        })) => (
            Selector::Session {
                id: session,
                agent_version,
            },
            prompt,
            options,
        ),
        Some(RunCommand::Resume(ResumeArgs {
            checkpoint,
            prompt,
            agent_version,
            options,
        })) => (
            Selector::Checkpoint {
                id: checkpoint,
                agent_version,
            },
            prompt,
            options,
        ),
        None => match (args.agent, args.prompt) {
            (Some(agent), Some(prompt)) => (Selector::Agent(agent), prompt, args.options),
            _ => return Err(Failure::usage("Write: vm0 run AGENT PROMPT")),
        },
    };
    start::execute(context, selector, prompt, options).await
}
