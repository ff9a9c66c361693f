//! The grammar of `vm0 compose`, and its steps.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use vm0_client::{Client, PageQuery};
use vm0_model::config::Problem;
use vm0_model::wire::agents::{AgentAction, AgentDetail, AgentPut};

use super::agent_file::{AgentFile, AgentFileError, Invalid};
use super::bundle::{self, Bundle, BundleError};
use super::needs::{Known, Needs};
use crate::commands::volume::PushOutcome;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::units;

/// Options of `vm0 compose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 compose\n  vm0 compose agents/report.yaml -m \"Sums by region\"\n  \
                  vm0 compose --dry-run"
)]
pub(crate) struct ComposeArgs {
    /// Agent file
    #[arg(default_value = "vm0.yaml")]
    file: PathBuf,
    /// Approve new secrets that skills ask for
    #[arg(short, long)]
    yes: bool,
    /// Kept with the version [default: none]
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Only validate, without a server
    #[arg(long)]
    dry_run: bool,
}

/// How an agent is composed.
#[derive(Debug, Default)]
pub(crate) struct ComposeOptions {
    /// Approve new secrets.
    pub(crate) yes: bool,
    /// Kept with the version.
    pub(crate) message: Option<String>,
}

/// An agent on the server.
#[derive(Debug)]
pub(crate) struct Composed {
    /// The agent with its version.
    pub(crate) detail: AgentDetail,
    bundle: Option<PushOutcome>,
}

/// Does it. Ctrl-C leaves no temporary directory and no git behind.
pub(crate) async fn execute(context: &Context, args: ComposeArgs) -> CommandResult {
    let output = &context.output;
    if args.dry_run {
        return dry_run(output, &args);
    }
    let file = AgentFile::read(&args.file).map_err(|error| error.report(output))?;
    let options = ComposeOptions {
        yes: args.yes,
        message: args.message,
    };
    let mut interrupt = Interrupt::listen()?;
    let composed = compose_file(context, &mut interrupt, &file, options).await?;
    if output.is_json() {
        output.json(&composed.document())?;
    } else {
        composed.print(output)?;
    }
    Ok(Exit::Done)
}

fn dry_run(output: &Output, args: &ComposeArgs) -> CommandResult {
    let checked = AgentFile::read(&args.file).and_then(|file| match check_local(&file) {
        Ok(()) => Ok(file),
        Err(BundleError::Problems(found)) => Err(AgentFileError::Invalid(file.refuse(found))),
        Err(BundleError::Failure(failure)) => Err(AgentFileError::Unreadable(failure)),
    });
    match checked {
        Ok(file) if output.is_json() => {
            output.json(&json!({ "valid": true, "warnings": file.warnings() }))?;
            Ok(Exit::Done)
        }
        Ok(file) => {
            file.warnings().iter().for_each(|text| output.warn(text));
            output.success(&format!("Config validated: {}", file.agent.name))?;
            Ok(Exit::Done)
        }
        Err(AgentFileError::Invalid(Invalid { problems, .. })) if output.is_json() => {
            let problems: Vec<_> = problems.iter().map(problem_json).collect();
            output.json(&json!({ "valid": false, "problems": problems }))?;
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.report(output)),
    }
}

fn check_local(file: &AgentFile) -> Result<(), BundleError> {
    if bundle::is_needed(file) {
        Bundle::collect_local(file)?;
    }
    Ok(())
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.text,
    })
}

/// Collects what the file names, asks for what skills need, pushes the bundle and posts the agent,
/// which is there as a whole or not at all.
pub(crate) async fn compose_file(
    context: &Context,
    interrupt: &mut Interrupt,
    file: &AgentFile,
    options: ComposeOptions,
) -> Result<Composed, Failure> {
    let output = &context.output;
    file.warnings().iter().for_each(|text| output.warn(text));
    let client = context.client()?;
    let prepared = prepare(output, &client, file, options);
    let (put, bundle) = interrupt.race(prepared).await?;
    let hint = format!(
        "It may be on the server: vm0 agent status {}",
        file.agent.name
    );
    let detail = interrupt.race_change(client.agent_put(&put), &hint).await?;
    Ok(Composed { detail, bundle })
}

/// What is to be posted, its bundle being on the server.
async fn prepare(
    output: &Output,
    client: &Client,
    file: &AgentFile,
    options: ComposeOptions,
) -> Result<(AgentPut, Option<PushOutcome>), Failure> {
    let mut config = file.config.clone();
    let name = &file.agent.name;
    let mut pushed = None;
    if bundle::is_needed(file) {
        let refuse = |error| match error {
            BundleError::Problems(problems) => file.refuse(problems).report(output),
            BundleError::Failure(failure) => failure,
        };
        let local = Bundle::collect_local(file).map_err(refuse)?;
        let bundle = local.collect_remote(file, output).await.map_err(refuse)?;
        let needs = Needs::of(&file.agent, &bundle.needs);
        if !needs.is_empty() {
            let current = current_config(client, name).await?;
            let known = Known::of(current.as_ref());
            needs.approve(output, &known, options.yes).await?;
            needs.add_to(&mut config, name);
        }
        let outcome = bundle.push(client, output, name).await?;
        config["agents"][name]["bundle"] = json!(outcome.version.id);
        pushed = Some(outcome);
    }
    let put = AgentPut {
        config,
        message: options.message,
    };
    Ok((put, pushed))
}

/// The configuration of the agent's current version, if there is an agent of this name.
async fn current_config(client: &Client, name: &str) -> Result<Option<Value>, Failure> {
    let page = client.agent_list(Some(name), &PageQuery::default()).await?;
    match page.data.first() {
        Some(agent) => Ok(client.agent_view(agent.id).await?.config),
        None => Ok(None),
    }
}

impl Composed {
    /// The document of `--json`: the agent with `action` and `bundle`.
    pub(crate) fn document(&self) -> Value {
        let mut document = serde_json::to_value(&self.detail).expect("a detail is JSON");
        document["bundle"] = json!(self.bundle.as_ref().map(|pushed| pushed.version.id));
        document
    }

    /// The version in short.
    pub(crate) fn version(&self) -> String {
        let id = self.detail.agent.current_version_id;
        id.map(|id| id.short()).unwrap_or_default()
    }

    /// What came of it.
    pub(crate) fn print(&self, output: &Output) -> std::io::Result<()> {
        if let Some(PushOutcome {
            version, uploaded, ..
        }) = &self.bundle
        {
            let id = version.id.short();
            if *uploaded {
                let (files, size) = (version.file_count, units::bytes(version.size));
                let files = match files {
                    1 => "1 file".to_owned(),
                    count => format!("{count} files"),
                };
                output.success(&format!("Bundle uploaded {id} ({files}, {size})"))?;
            } else {
                output.line(&format!("Bundle unchanged {id}"))?;
            }
        }
        let name = &self.detail.agent.name;
        let version = self.version();
        output.success(&match self.detail.action {
            Some(AgentAction::Existing) => format!("Compose version exists: {name}"),
            _ => format!("Compose created: {name}"),
        })?;
        output.line(&format!("  Version: {version}"))?;
        output.line(&format!(
            "  Run it:  vm0 run {name}:{version} \"your prompt\""
        ))
    }
}
