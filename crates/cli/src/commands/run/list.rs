//! `vm0 run list`.

use vm0_client::{Client, PageQuery, RunListQuery, collect_pages};
use vm0_model::id::AgentId;
use vm0_model::run::RunStatus;
use vm0_model::wire::runs::Run;

use super::command::ListArgs;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::table::{Table, excerpt};
use crate::units;

pub(super) async fn execute(context: &Context, args: ListArgs) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let agent_id = match &args.agent {
        Some(name) => Some(find_agent(&client, name).await?),
        None => None,
    };
    let runs = find_runs(&client, &args, agent_id).await?;
    if output.is_json() {
        output.json_list(&runs)?;
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        output.note("No runs.");
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["ID", "AGENT", "STATUS", "CREATED", "TIME", "PROMPT"]);
    for run in runs {
        let time = run.started_at.map_or_else(
            || "-".to_owned(),
            |start| units::seconds(run.completed_at.unwrap_or(now).millis_since(start)),
        );
        table.row(vec![
            run.id.to_string(),
            run.agent_name.clone(),
            run.status.to_string(),
            units::ago(run.created_at, now),
            time,
            excerpt(&run.prompt),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

async fn find_agent(client: &Client, name: &str) -> Result<AgentId, Failure> {
    let page = client.agent_list(Some(name), &PageQuery::default()).await?;
    let agent = page.data.first();
    agent.map(|agent| agent.id).ok_or_else(|| {
        Failure::not_found(format!("No such agent: '{name}'")).hint("See: vm0 agent list")
    })
}

/// The runs in the states asked for, newest first.
async fn find_runs(
    client: &Client,
    args: &ListArgs,
    agent_id: Option<AgentId>,
) -> Result<Vec<Run>, Failure> {
    let limit = args.limit as usize;
    let states: &[Option<RunStatus>] = match args.status {
        Some(status) => &[Some(status)],
        None if args.all => &[None],
        None => &[Some(RunStatus::Pending), Some(RunStatus::Running)],
    };
    let mut runs: Vec<Run> = Vec::new();
    for &status in states {
        let query = RunListQuery {
            status,
            agent_id,
            since: args.since,
        };
        runs.extend(
            collect_pages(Some(limit), async |page| {
                client.run_list(&query, &page).await
            })
            .await?,
        );
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.created_at, run.id)));
    // A run that started between the two questions is in both answers.
    runs.dedup_by_key(|run| run.id);
    runs.truncate(limit);
    Ok(runs)
}
