//! `vm0 schedule`.

use clap::{Args, Subcommand};
use serde_json::json;
use vm0_client::collect_pages;
use vm0_model::ScheduleId;
use vm0_model::wire::schedules::{Schedule, ScheduleCreate};

use crate::confirm::confirm_delete;
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::output::Output;
use crate::table::{Table, excerpt};
use crate::units;
use crate::values::{
    AgentRef, agent_ref, key_value, key_value_or_environment, map_of, version_ref,
};

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Let the server make runs of an agent at certain times
    #[command(
        visible_alias = "create",
        after_help = "Examples:\n  vm0 schedule add my-agent --cron @hourly --prompt 'Check the ledger'\n  \
                      vm0 schedule add my-agent --cron '0 9 * * 1-5' --timezone Europe/Berlin \\\n    \
                      --prompt 'Summarise the news' --artifact-name report"
    )]
    Add(Box<AddArgs>),
    /// All schedules
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 schedule list")]
    List,
    /// Switch a schedule on
    #[command(after_help = "Examples:\n  vm0 schedule enable ID")]
    Enable(SwitchArgs),
    /// Switch a schedule off
    #[command(after_help = "Examples:\n  vm0 schedule disable ID")]
    Disable(SwitchArgs),
    /// Delete a schedule; its runs stay
    #[command(after_help = "Examples:\n  vm0 schedule delete ID")]
    Delete(DeleteArgs),
}

/// Options of `add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// NAME, NAME:VERSION or the agent's id
    #[arg(value_parser = agent_ref)]
    agent: AgentRef,
    /// Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// What the agent is asked each time
    #[arg(long)]
    prompt: String,
    /// Where the expression is read, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Variable, again for each; KEY alone takes the value from the environment now
    #[arg(long, alias = "var", value_name = "KEY=VALUE", value_parser = key_value_or_environment)]
    vars: Vec<(String, String)>,
    /// Artifact of the working directory [default: none]
    #[arg(long, value_name = "NAME")]
    artifact_name: Option<String>,
    /// Version of the artifact [default: its head at that time]
    #[arg(long, value_name = "VERSION", value_parser = version_ref)]
    artifact_version: Option<String>,
    /// Version of a volume by its key in vm0.yaml, again for each [default: that of vm0.yaml]
    #[arg(long, value_name = "KEY=VERSION", value_parser = key_value)]
    volume_version: Vec<(String, String)>,
    /// End each run after this many seconds [default: that of the agent]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: Option<u32>,
    /// Do not switch it on yet
    #[arg(long)]
    disabled: bool,
}

/// Options of `enable` and `disable`.
#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// Id of the schedule
    id: ScheduleId,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Id of the schedule
    id: ScheduleId,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: ScheduleCommand) -> CommandResult {
    match command {
        ScheduleCommand::Add(args) => add(context, *args).await,
        ScheduleCommand::List => list(context).await,
        ScheduleCommand::Enable(args) => switch(context, args.id, true).await,
        ScheduleCommand::Disable(args) => switch(context, args.id, false).await,
        ScheduleCommand::Delete(args) => delete(context, &args).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let (agent_id, agent, agent_version) = match args.agent {
        AgentRef::Id(id) => (Some(id.to_string()), None, None),
        AgentRef::Name { name, version } => (None, Some(name), version),
    };
    let request = ScheduleCreate {
        cron: args.cron,
        timezone: args.timezone,
        enabled: args.disabled.then_some(false),
        agent_id,
        agent,
        prompt: args.prompt,
        agent_version,
        variables: map_of(&args.vars),
        artifact_name: args.artifact_name,
        artifact_version: args.artifact_version,
        volumes: map_of(&args.volume_version),
        timeout_seconds: args.timeout,
    };
    let schedule = client.schedule_create(&request).await?;
    if output.is_json() {
        output.json(&schedule)?;
        return Ok(Exit::Done);
    }
    output.success(&format!("Schedule created: {}", schedule.id))?;
    show_next(output, &schedule)?;
    Ok(Exit::Done)
}

async fn list(context: &Context) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let schedules = collect_pages(None, async |page| client.schedule_list(&page).await).await?;
    if output.is_json() {
        output.json_list(&schedules)?;
        return Ok(Exit::Done);
    }
    if schedules.is_empty() {
        output.note(
            "No schedules. Make one: vm0 schedule add AGENT --cron '0 9 * * *' --prompt TEXT",
        );
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut reasons = Vec::new();
    let mut table = Table::new(&["ID", "AGENT", "CRON", "TIMEZONE", "NEXT", "LAST", "PROMPT"]);
    for schedule in schedules {
        let last = match (&schedule.last_error, schedule.last_due_at) {
            (Some(_), _) => "no run".to_owned(),
            (None, Some(due)) => units::ago(due, now),
            (None, None) => "-".to_owned(),
        };
        table.row(vec![
            schedule.id.to_string(),
            schedule.agent_name,
            schedule.cron,
            schedule.timezone,
            schedule
                .next_run_at
                .map_or_else(|| "off".to_owned(), units::local_minute),
            last,
            excerpt(&schedule.prompt),
        ]);
        if let Some(error) = schedule.last_error {
            reasons.push(format!("  {}: no run: {error}", schedule.id));
        }
    }
    table.print(output)?;
    reasons.iter().try_for_each(|reason| output.line(reason))?;
    Ok(Exit::Done)
}

async fn switch(context: &Context, id: ScheduleId, on: bool) -> CommandResult {
    let output = &context.output;
    let schedule = context.client()?.schedule_switch(id, on).await?;
    if output.is_json() {
        output.json(&schedule)?;
        return Ok(Exit::Done);
    }
    let state = if on { "enabled" } else { "disabled" };
    output.success(&format!("Schedule {id} {state}"))?;
    show_next(output, &schedule)?;
    Ok(Exit::Done)
}

fn show_next(output: &Output, schedule: &Schedule) -> std::io::Result<()> {
    match schedule.next_run_at {
        Some(time) => output.detail("Next run", units::local(time)),
        None => Ok(()),
    }
}

async fn delete(context: &Context, args: &DeleteArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    confirm_delete(output, args.yes, &format!("the schedule {}", args.id))?;
    client.schedule_delete(args.id).await?;
    if output.is_json() {
        output.json(&json!({ "ok": true, "id": args.id }))?;
    } else {
        output.success(&format!("Schedule {} deleted", args.id))?;
    }
    Ok(Exit::Done)
}
