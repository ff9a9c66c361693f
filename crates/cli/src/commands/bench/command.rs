//! The grammar of `vm0 bench`.

use clap::Subcommand;

use super::api::{self, ApiArgs};
use super::cli::{self, CliArgs};
use super::events::{self, EventsArgs};
use super::start::{self, StartArgs};
use super::storage::{self, StorageArgs};
use super::transfer::{self, TransferArgs};
use crate::context::Context;
use crate::error::CommandResult;

/// What to measure, with private servers in temporary directories.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// From POST to the first output event
    #[command(
        after_help = "Examples:\n  vm0 bench start\n  vm0 bench start --runs 20 --sandbox runc --no-volume --json"
    )]
    Start(StartArgs),
    /// Requests a second of one core, its memory, and lists of many runs
    #[command(
        after_help = "Examples:\n  vm0 bench api\n  vm0 bench api --rows 1000000\n  vm0 bench api --seconds 2 --json"
    )]
    Api(ApiArgs),
    /// The command line's own start, beside git's
    #[command(after_help = "Examples:\n  vm0 bench cli\n  vm0 bench cli --repeats 200 --json")]
    Cli(CliArgs),
    /// One busy run and many who watch it
    #[command(
        after_help = "Examples:\n  vm0 bench events\n  vm0 bench events --watchers 100 --seconds 5"
    )]
    Events(EventsArgs),
    /// Versions of many files, beside restic, borg and tar
    #[command(
        after_help = "Examples:\n  vm0 bench storage\n  vm0 bench storage --sandbox runc --json"
    )]
    Storage(StorageArgs),
    /// The server's memory while a file of 4 GiB goes up and comes down
    #[command(
        after_help = "Examples:\n  vm0 bench transfer\n  vm0 bench transfer --size 512 --json"
    )]
    Transfer(TransferArgs),
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: BenchCommand) -> CommandResult {
    match command {
        BenchCommand::Start(args) => start::execute(context, args).await,
        BenchCommand::Api(args) => api::execute(context, args).await,
        BenchCommand::Cli(args) => cli::execute(context, args).await,
        BenchCommand::Events(args) => events::execute(context, args).await,
        BenchCommand::Storage(args) => storage::execute(context, args).await,
        BenchCommand::Transfer(args) => transfer::execute(context, args).await,
    }
}
