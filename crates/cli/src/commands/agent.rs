//! `vm0 agent` (CLI 3.4).

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::json;
use vm0_client::{Client, PageQuery, collect_pages};
use vm0_model::broker::{Binding, secret_bindings};
use vm0_model::config::{AgentConfig, to_yaml};
use vm0_model::wire::agents::{AgentDetail, AgentVersion};

use crate::commands::completion;
use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::output::Output;
use crate::table::Table;
use crate::units;
use crate::values::{AgentRef, agent_ref};

/// Versions that `status` shows.
const VERSIONS_SHOWN: usize = 5;

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// All agents
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 agent list")]
    List,
    /// Everything about one agent
    #[command(
        visible_alias = "inspect",
        after_help = "Examples:\n  vm0 agent status my-agent\n  vm0 agent status my-agent:1a2b3c4d\n  \
                      vm0 agent status my-agent --yaml > vm0.yaml"
    )]
    Status(StatusArgs),
    /// Delete an agent; what its runs made stays
    #[command(
        after_help = "Examples:\n  vm0 agent delete my-agent\n  vm0 agent delete my-agent --yes"
    )]
    Delete(DeleteArgs),
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// NAME, NAME:VERSION or the agent's id
    #[arg(value_parser = agent_ref, add = ArgValueCompleter::new(completion::agents))]
    agent: AgentRef,
    /// Print its configuration, as a file for vm0 compose
    #[arg(long)]
    yaml: bool,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Name of the agent
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What the server keeps of the values that agents ask for, by name.
struct StoredNames {
    secrets: BTreeSet<String>,
    variables: BTreeSet<String>,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: AgentCommand) -> CommandResult {
    match command {
        AgentCommand::List => list(context).await,
        AgentCommand::Status(args) => status(context, args).await,
        AgentCommand::Delete(args) => delete(context, &args).await,
    }
}

async fn list(context: &Context) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let agents = collect_pages(None, async |page| client.agent_list(None, &page).await).await?;
    if output.is_json() {
        output.json_list(&agents)?;
        return Ok(Exit::Done);
    }
    if agents.is_empty() {
        output.note("No agents. Create one: vm0 compose vm0.yaml");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["NAME", "VERSION", "UPDATED"]);
    for agent in agents {
        let version = agent
            .current_version_id
            .map_or_else(|| "-".to_owned(), |id| id.short());
        table.row(vec![agent.name, version, units::ago(agent.updated_at, now)]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

async fn status(context: &Context, args: StatusArgs) -> CommandResult {
    let output = &context.output;
    if args.yaml && output.is_json() {
        return Err(Failure::usage("--yaml and --json exclude each other"));
    }
    let client = context.client()?;
    let (detail, version) = find(&client, args.agent).await?;
    if output.is_json() {
        output.json(&detail)?;
        return Ok(Exit::Done);
    }
    let id = detail.agent.id;
    let versions = collect_pages(None, async |page| {
        client.agent_version_list(id, &page).await
    })
    .await?;
    let shown = match &version {
        None => versions
            .iter()
            .find(|known| Some(known.id) == detail.agent.current_version_id),
        Some(prefix) => versions
            .iter()
            .find(|known| known.id.to_string().starts_with(prefix)),
    };
    let Some(shown) = shown else {
        let message = format!("No such agent version: '{}'", version.unwrap_or_default());
        let hint = format!("See: vm0 agent status {}", detail.agent.name);
        return Err(Failure::not_found(message).hint(hint));
    };
    if args.yaml {
        let config = shown.config.as_ref().unwrap_or(&serde_json::Value::Null);
        output.line(to_yaml(config).trim_end_matches('\n'))?;
        return Ok(Exit::Done);
    }
    let stored = StoredNames::read(&client).await?;
    print_version(output, &detail, shown, &stored)?;
    output.line("Versions:")?;
    let now = units::now();
    for version in versions.iter().take(VERSIONS_SHOWN) {
        let message = version.message.as_deref().unwrap_or_default();
        let age = units::ago(version.created_at, now);
        let line = format!(
            "  {}  {}  {age}  {message}",
            version.id.short(),
            version.version_number
        );
        output.line(line.trim_end())?;
    }
    Ok(Exit::Done)
}

async fn delete(context: &Context, args: &DeleteArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let name = &args.name;
    let agent = AgentRef::Name {
        name: name.clone(),
        version: None,
    };
    let (detail, _) = find(&client, agent).await?;
    confirm_delete(output, args.yes, &format!("the agent {name}"))?;
    client.agent_delete(detail.agent.id).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name }))?;
    } else {
        output.success(&format!("Agent {name} deleted"))?;
    }
    Ok(Exit::Done)
}

impl StoredNames {
    async fn read(client: &Client) -> Result<Self, Failure> {
        let secrets = collect_pages(None, async |page| client.secret_list(&page).await).await?;
        let variables = collect_pages(None, async |page| client.variable_list(&page).await).await?;
        Ok(Self {
            secrets: secrets.into_iter().map(|it| it.name).collect(),
            variables: variables.into_iter().map(|it| it.name).collect(),
        })
    }
}

async fn find(client: &Client, agent: AgentRef) -> Result<(AgentDetail, Option<String>), Failure> {
    match agent {
        AgentRef::Id(id) => Ok((client.agent_view(id).await?, None)),
        AgentRef::Name { name, version } => {
            let page = client
                .agent_list(Some(&name), &PageQuery::default())
                .await?;
            let Some(found) = page.data.first() else {
                let failure = Failure::not_found(format!("No such agent: '{name}'"));
                return Err(failure.hint("Create it: vm0 compose vm0.yaml"));
            };
            Ok((client.agent_view(found.id).await?, version))
        }
    }
}

fn print_version(
    output: &Output,
    detail: &AgentDetail,
    version: &AgentVersion,
    stored: &StoredNames,
) -> Result<(), Failure> {
    output.line(&detail.agent.name)?;
    output.detail("Version", version.id)?;
    output.detail("Number", version.version_number)?;
    if let Some(message) = &version.message {
        output.detail("Message", message)?;
    }
    let config = version.config.as_ref().map(AgentConfig::from_json);
    let Some(Ok((_, config))) = config else {
        return Ok(());
    };
    output.detail("Framework", &config.framework.name)?;
    if let Some(image) = &config.image {
        output.detail("Image", image)?;
    }
    output.detail("Directory", &config.working_dir)?;
    for mount in &config.mounts {
        output.detail("Volume", format_args!("{} at {}", mount.key, mount.path))?;
    }
    output.detail("Network", config.network.mode.as_str())?;
    let state = |is_stored| if is_stored { "stored" } else { "missing" };
    let bindings = secret_bindings(&config, &config.environment.iter().cloned().collect());
    for name in config.required_secrets() {
        let state = state(stored.secrets.contains(&name));
        let way = bindings
            .get(&name)
            .map_or_else(|| "exposed".to_owned(), brokered);
        output.detail("Secret", format_args!("{name} ({state}, {way})"))?;
    }
    for name in config.required_variables() {
        let state = state(stored.variables.contains(&name));
        output.detail("Variable", format_args!("{name} ({state})"))?;
    }
    Ok(())
}

/// `brokered → HOST, HOST:PORT`.
fn brokered(bindings: &BTreeSet<Binding>) -> String {
    let hosts = bindings.iter().map(|binding| match binding.port {
        443 => binding.host.clone(),
        port => format!("{}:{port}", binding.host),
    });
    // One host may have several places.
    let hosts: BTreeSet<String> = hosts.collect();
    let hosts: Vec<String> = hosts.into_iter().collect();
    format!("brokered → {}", hosts.join(", "))
}
