//! The grammar of both commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vm0_model::storage::StorageKind;

use super::{clone, delete, init, list, pull, push, status, versions};
use crate::context::Context;
use crate::error::CommandResult;
use crate::interrupt::Interrupt;
use crate::values::version_ref;

/// What to do with volumes or artifacts.
#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// Make the working directory a volume or artifact
    #[command(after_help = "Examples:\n  vm0 volume init -n books\n  vm0 artifact init -n report")]
    Init(InitArgs),
    /// Upload the directory as a new version
    #[command(after_help = "Examples:\n  vm0 volume push -m January\n  vm0 artifact push")]
    Push(PushArgs),
    /// Make the directory equal to a version
    #[command(after_help = "Examples:\n  vm0 volume pull\n  vm0 artifact pull 1a2b3c4d -f")]
    Pull(PullArgs),
    /// Compare the directory with the server
    #[command(after_help = "Examples:\n  vm0 volume status\n  vm0 artifact status")]
    Status,
    /// All volumes or artifacts
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  vm0 volume list\n  vm0 artifact list"
    )]
    List,
    /// All versions of a volume or artifact
    #[command(after_help = "Examples:\n  vm0 volume versions\n  vm0 artifact versions report")]
    Versions(VersionsArgs),
    /// Download a volume or artifact into a new directory
    #[command(
        after_help = "Examples:\n  vm0 volume clone books\n  vm0 artifact clone report out --version 1a2b3c4d"
    )]
    Clone(CloneArgs),
    /// Delete a volume or artifact with all its versions
    #[command(after_help = "Examples:\n  vm0 volume delete books\n  vm0 artifact delete report -y")]
    Delete(DeleteArgs),
}

/// Options of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Name on the server [default: that of the directory]
    #[arg(short, long)]
    pub(super) name: Option<String>,
}

/// Options of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Kept with the version [default: none]
    #[arg(short, long, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// Upload although nothing has changed
    #[arg(short, long)]
    pub(super) force: bool,
    /// Only if this version is the head
    #[arg(long, value_name = "VERSION", value_parser = version_ref)]
    pub(super) expect: Option<String>,
}

/// Options of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Version [default: the head]
    #[arg(value_name = "VERSION", value_parser = version_ref)]
    pub(super) version: Option<String>,
    /// Overwrite local content that is no stored version
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Options of `versions`.
#[derive(Debug, Args)]
pub(crate) struct VersionsArgs {
    /// Name on the server [default: that of this directory]
    pub(super) name: Option<String>,
}

/// Options of `clone`.
#[derive(Debug, Args)]
pub(crate) struct CloneArgs {
    /// Name on the server
    pub(super) name: String,
    /// Directory, absent or empty [default: NAME]
    pub(super) dest: Option<PathBuf>,
    /// Version [default: the head]
    #[arg(long, value_parser = version_ref)]
    pub(super) version: Option<String>,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Name on the server
    pub(super) name: String,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// Does it.
pub(crate) async fn execute(
    context: &Context,
    kind: StorageKind,
    command: StorageCommand,
) -> CommandResult {
    match command {
        StorageCommand::Init(args) => init::execute(context, kind, args),
        StorageCommand::Push(args) => {
            // Until the commit is answered the server has nothing, and afterwards all.
            let mut interrupt = Interrupt::listen()?;
            interrupt.race(push::execute(context, kind, args)).await
        }
        StorageCommand::Pull(args) => pull::execute(context, kind, args).await,
        StorageCommand::Status => status::execute(context, kind).await,
        StorageCommand::List => list::execute(context, kind).await,
        StorageCommand::Versions(args) => versions::execute(context, kind, args).await,
        StorageCommand::Clone(args) => clone::execute(context, kind, args).await,
        StorageCommand::Delete(args) => delete::execute(context, kind, args).await,
    }
}
