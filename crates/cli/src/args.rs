//! The grammar of the command line: the global options and the commands. The options of a
//! command stand in its own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use vm0_model::storage::StorageKind;

use crate::commands;
use crate::context::Context;
use crate::error::CommandResult;

/// Runs AI agents in secure sandboxes: server, runner and client in one program.
#[derive(Debug, Parser)]
#[command(
    name = "vm0",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  vm0 serve\n  vm0 auth login\n  vm0 compose vm0.yaml\n  vm0 run my-agent \"Say hello\""
)]
pub(crate) struct Cli {
    /// Global options.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Server [default: VM0_API_URL, else the one signed in to, else http://127.0.0.1:8080]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub(crate) api_url: Option<String>,
    /// The server's data [default: VM0_DATA_DIR, else /var/lib/vm0 for root and ~/.vm0/data]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// No progress, notes and next steps
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// No colour
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Server and one runner in one process
    Serve(commands::serve::ServeArgs),
    /// Execute runs of a server elsewhere
    Runner(commands::runner::RunnerArgs),
    /// Sign in, sign out, and see whether you are
    #[command(subcommand)]
    Auth(commands::auth::AuthCommand),
    /// API tokens: make, see and delete them
    #[command(subcommand)]
    Token(commands::token::TokenCommand),
    /// Secrets that the server keeps for your runs
    #[command(subcommand)]
    Secret(commands::secret::SecretCommand),
    /// Variables that the server keeps for your runs
    #[command(subcommand)]
    Variable(commands::variable::VariableCommand),
    /// Check what this machine can do and how to get the rest
    Doctor(commands::doctor::DoctorArgs),
    /// Remove what nothing refers to
    Gc(commands::gc::GcArgs),
    /// Who did what: tokens, sign-ins, secrets, deletions
    Audit(commands::audit::AuditArgs),
    /// Check every stored byte
    Fsck(commands::fsck::FsckArgs),
    /// Images that sandboxes start from
    #[command(subcommand)]
    Image(commands::image::ImageCommand),
    /// Begin an agent: write vm0.yaml and AGENTS.md
    Init(commands::init::InitArgs),
    /// Create or update an agent from vm0.yaml
    Compose(commands::compose::ComposeArgs),
    /// See agents
    #[command(subcommand)]
    Agent(commands::agent::AgentCommand),
    /// Run an agent, or see and end runs
    Run(Box<commands::run::RunArgs>),
    /// Runs that the server makes at certain times
    #[command(subcommand)]
    Schedule(commands::schedule::ScheduleCommand),
    /// Run a command in the sandbox of a running run
    Exec(commands::exec::ExecArgs),
    /// From a directory with vm0.yaml to a result
    Cook(Box<commands::cook::CookArgs>),
    /// What a run said and did
    Logs(commands::logs::LogsArgs),
    /// Input files of runs
    #[command(subcommand)]
    Volume(commands::volume::StorageCommand),
    /// Working directories of runs
    #[command(subcommand)]
    Artifact(commands::volume::StorageCommand),
    /// Script with which a shell completes commands
    Completion(commands::completion::CompletionArgs),
    /// Measure this machine
    #[command(subcommand)]
    Bench(commands::bench::BenchCommand),
}

impl Command {
    /// Does it.
    pub(crate) async fn execute(self, context: &Context) -> CommandResult {
        match self {
            Self::Serve(args) => commands::serve::execute(context, args).await,
            Self::Runner(args) => commands::runner::execute(context, args).await,
            Self::Auth(command) => commands::auth::execute(context, command).await,
            Self::Token(command) => commands::token::execute(context, command).await,
            Self::Schedule(command) => commands::schedule::execute(context, command).await,
            Self::Secret(command) => commands::secret::execute(context, command).await,
            Self::Variable(command) => commands::variable::execute(context, command).await,
            Self::Doctor(args) => commands::doctor::execute(context, args).await,
            Self::Gc(args) => commands::gc::execute(context, args).await,
            Self::Audit(args) => commands::audit::execute(context, args).await,
            Self::Fsck(args) => commands::fsck::execute(context, args).await,
            Self::Image(command) => commands::image::execute(context, command).await,
            Self::Init(args) => commands::init::execute(context, args).await,
            Self::Compose(args) => commands::compose::execute(context, args).await,
            Self::Agent(command) => commands::agent::execute(context, command).await,
            Self::Run(args) => commands::run::execute(context, *args).await,
            Self::Exec(args) => commands::exec::execute(context, args).await,
            Self::Cook(args) => commands::cook::execute(context, *args).await,
            Self::Logs(args) => commands::logs::execute(context, args).await,
            Self::Volume(command) => {
                commands::volume::execute(context, StorageKind::Volume, command).await
            }
            Self::Artifact(command) => {
                commands::volume::execute(context, StorageKind::Artifact, command).await
            }
            Self::Completion(args) => commands::completion::execute(context, &args),
            Self::Bench(command) => commands::bench::execute(context, command).await,
        }
    }
}
