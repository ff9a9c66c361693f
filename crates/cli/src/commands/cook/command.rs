//! The grammar of `vm0 cook`, and its steps.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::inputs;
use super::record::{Record, Remembered};
use super::run::{Cooked, run};
use super::step::{Announced, announce};
use crate::commands::compose::{AgentFile, ComposeOptions, compose_file};
use crate::commands::logs::{self, LogsOptions};
use crate::commands::run::{RunOptions, Selector};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::values::{AgentRef, key_value_or_environment};

/// The file that is cooked.
const FILE: &str = "vm0.yaml";

/// `vm0 cook [PROMPT]`, or a subcommand.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  vm0 cook \"Summarise the books\"\n  \
                  vm0 cook continue \"And now the rest\"\n  vm0 cook logs --system"
)]
pub(crate) struct CookArgs {
    #[command(subcommand)]
    command: Option<CookCommand>,
    /// What the agent is asked; - reads it from stdin; without it nothing is run
    prompt: Option<String>,
    /// Approve new secrets that skills ask for
    #[arg(short, long)]
    yes: bool,
    /// File of NAME=VALUE lines for variables and secrets
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// Variable, again for each; KEY alone takes the value from the environment
    #[arg(long, alias = "var", value_name = "KEY=VALUE", value_parser = key_value_or_environment)]
    vars: Vec<(String, String)>,
    /// Secret, again for each; KEY alone takes the value from the environment
    #[arg(long, alias = "secret", value_name = "KEY=VALUE", value_parser = key_value_or_environment)]
    secrets: Vec<(String, String)>,
    /// Whole inputs and outputs of tools, reasoning, unknown events
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum CookCommand {
    /// Go on with the session of this directory
    #[command(after_help = "Examples:\n  vm0 cook continue \"And now the rest\"")]
    Continue(Box<AgainArgs>),
    /// Go on from the checkpoint of this directory
    #[command(after_help = "Examples:\n  vm0 cook resume \"Try another way\"")]
    Resume(Box<AgainArgs>),
    /// What the last run of this directory said and did
    #[command(after_help = "Examples:\n  vm0 cook logs\n  vm0 cook logs --follow")]
    Logs(LogsOptions),
}

#[derive(Debug, Args)]
struct AgainArgs {
    /// What the agent is asked; - reads it from stdin
    prompt: String,
    #[command(flatten)]
    options: RunOptions,
}

/// Does it.
pub(crate) async fn execute(context: &Context, mut args: CookArgs) -> CommandResult {
    let project = std::env::current_dir().and_then(|dir| dir.canonicalize());
    let project = project.map_err(|error| Failure::of("directory", &error))?;
    let record = Record::of(&project)?;
    match args.command.take() {
        None => cook(context, &mut Interrupt::listen()?, &record, args).await,
        Some(CookCommand::Continue(args)) => {
            let session = record.read().session.ok_or_else(nothing)?;
            let interrupt = &mut Interrupt::listen()?;
            if let Some(exit) = inputs::push_edited(context, interrupt).await? {
                return Ok(exit);
            }
            let selector = Selector::Session {
                id: session,
                agent_version: None,
            };
            announce(context, &format!("run continue {session} \"…\""));
            again(context, interrupt, &record, selector, *args).await
        }
        Some(CookCommand::Resume(args)) => {
            let checkpoint = record.read().checkpoint.ok_or_else(nothing)?;
            let selector = Selector::Checkpoint {
                id: checkpoint,
                agent_version: None,
            };
            announce(context, &format!("run resume {checkpoint} \"…\""));
            let interrupt = &mut Interrupt::listen()?;
            again(context, interrupt, &record, selector, *args).await
        }
        Some(CookCommand::Logs(options)) => {
            let Remembered { run, .. } = record.read();
            logs::show(context, run.ok_or_else(nothing)?, &options).await
        }
    }
}

fn nothing() -> Failure {
    let message = "Nothing was cooked in this directory yet";
    Failure::new(Exit::Failed, "nothing_cooked", message).hint("Begin: vm0 cook \"…\"")
}

async fn again(
    context: &Context,
    interrupt: &mut Interrupt,
    record: &Record,
    selector: Selector,
    args: AgainArgs,
) -> CommandResult {
    let cooked = Cooked {
        selector,
        prompt: args.prompt,
        options: args.options,
    };
    run(context, interrupt, record, cooked).await
}

async fn cook(
    context: &Context,
    interrupt: &mut Interrupt,
    record: &Record,
    args: CookArgs,
) -> CommandResult {
    let output = &context.output;
    announce(context, &format!("compose {FILE} --dry-run"));
    let file = AgentFile::read(Path::new(FILE)).map_err(|error| error.report(output))?;
    let volumes = file.agent.volumes.len();
    if !output.is_json() {
        output.success(&format!("Config validated: 1 agent, {volumes} volume(s)"))?;
    }
    let options = RunOptions {
        vars: args.vars,
        secrets: args.secrets,
        env_file: args.env_file,
        artifact_name: None,
        verbose: args.verbose,
        ..RunOptions::default()
    };
    let artifact = match inputs::push_all(context, interrupt, &file, &options).await? {
        Announced::Done(artifact) => artifact,
        Announced::Ended(exit) => return Ok(exit),
    };
    let yes = if args.yes { " --yes" } else { "" };
    announce(context, &format!("compose {FILE}{yes}"));
    let compose = ComposeOptions {
        yes: args.yes,
        message: None,
    };
    let composed = compose_file(context, interrupt, &file, compose).await?;
    if !output.is_json() {
        composed.print(output)?;
    }
    let (name, version) = (file.agent.name.clone(), composed.version());
    let Some(prompt) = args.prompt else {
        if output.is_json() {
            output.json(&composed.document())?;
        } else {
            output.note("Run it:");
            let command = format!("vm0 run {name} \"…\" --artifact-name {artifact}");
            output.note(&format!("  {command}"));
        }
        return Ok(Exit::Done);
    };
    let line = format!("run {name}:{version} \"…\" --artifact-name {artifact}");
    announce(context, &line);
    let cooked = Cooked {
        selector: Selector::Agent(AgentRef::Name {
            name,
            version: Some(version),
        }),
        prompt,
        options: RunOptions {
            artifact_name: Some(artifact),
            ..options
        },
    };
    run(context, interrupt, record, cooked).await
}
