//! The values that a run is given: options always, the env file and the environment of this
//! process only for the names that the agent refers to (CLI 4.1).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use vm0_client::{Client, PageQuery, RunListQuery, collect_pages};
use vm0_model::config::AgentConfig;
use vm0_model::id::AgentId;
use vm0_model::wire::agents::{AgentDetail, AgentVersion};
use vm0_model::wire::runs::RunDetail;

use super::command::RunOptions;
use super::start::Selector;
use crate::env_file;
use crate::error::Failure;
use crate::values::AgentRef;

/// How many of the newest runs are searched for the one that made a session or checkpoint.
const RUNS_SEARCHED: usize = 100;

/// Variables and secrets of a run request.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) variables: Option<BTreeMap<String, String>>,
    pub(super) secrets: Option<BTreeMap<String, String>>,
}

/// Collects the values of a run.
pub(super) async fn collect(
    client: &Client,
    selector: &Selector,
    options: &RunOptions,
) -> Result<Given, Failure> {
    let file = match &options.env_file {
        Some(path) => env_file::read(path)?,
        None => BTreeMap::new(),
    };
    let names = Names::of(find_config(client, selector).await?.as_ref());
    let new_run = matches!(selector, Selector::Agent(_));
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let variables = choose(&options.vars, &names.variables, |name| {
        file.get(name)
            .cloned()
            .or_else(|| environment(name).filter(|_| new_run))
    });
    let secrets = choose(&options.secrets, &names.secrets, |name| {
        file.get(name).cloned().or_else(|| environment(name))
    });
    Ok(Given { variables, secrets })
}

fn choose(
    options: &[(String, String)],
    names: &BTreeSet<String>,
    source: impl Fn(&str) -> Option<String>,
) -> Option<BTreeMap<String, String>> {
    let mut values: BTreeMap<_, _> = names
        .iter()
        .filter_map(|name| Some((name.clone(), source(name)?)))
        .collect();
    values.extend(options.iter().cloned());
    (!values.is_empty()).then_some(values)
}

/// The names that an agent version refers to.
#[derive(Debug, Default)]
struct Names {
    variables: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Names {
    /// Those of a configuration; a missing or unreadable one refers to none.
    fn of(config: Option<&Value>) -> Self {
        match config.map(AgentConfig::from_json) {
            Some(Ok((_, config))) => Self {
                variables: config.required_variables(),
                secrets: config.required_secrets(),
            },
            _ => Self::default(),
        }
    }
}

/// The configuration that the run will have. What does not exist is left for the server to say.
async fn find_config(client: &Client, selector: &Selector) -> Result<Option<Value>, Failure> {
    let (agent, version) = match selector {
        Selector::Agent(AgentRef::Id(id)) => (Some(*id), None),
        Selector::Agent(AgentRef::Name { name, version }) => {
            let page = client.agent_list(Some(name), &PageQuery::default()).await?;
            (page.data.first().map(|agent| agent.id), version.clone())
        }
        Selector::Session { id, agent_version } => {
            let run = find_run(client, |run| run.session_id == Some(*id)).await?;
            (run.map(|run| run.run.agent_id), agent_version.clone())
        }
        Selector::Checkpoint { id, agent_version } => {
            let run = find_run(client, |run| run.checkpoint_id == Some(*id)).await?;
            let pinned = run.as_ref().map(|run| run.agent_version.to_string());
            (
                run.map(|run| run.run.agent_id),
                agent_version.clone().or(pinned),
            )
        }
    };
    let Some(agent) = agent else { return Ok(None) };
    let detail = match client.agent_view(agent).await {
        Ok(detail) => detail,
        Err(error) if error.status() == Some(404) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    config_of(client, agent, detail, version.as_deref()).await
}

async fn config_of(
    client: &Client,
    agent: AgentId,
    detail: AgentDetail,
    version: Option<&str>,
) -> Result<Option<Value>, Failure> {
    let Some(version) = version.filter(|version| *version != "latest") else {
        return Ok(detail.config);
    };
    let head = detail.agent.current_version_id;
    if head.is_some_and(|head| head.to_string().starts_with(version)) {
        return Ok(detail.config);
    }
    let all: Vec<AgentVersion> = collect_pages(None, async |page| {
        client.agent_version_list(agent, &page).await
    })
    .await?;
    let mut named = all
        .into_iter()
        .filter(|known| known.id.to_string().starts_with(version));
    Ok(named.next().and_then(|version| version.config))
}

/// The newest run that `wanted` accepts: sessions and checkpoints are known by their runs.
async fn find_run(
    client: &Client,
    wanted: impl Fn(&RunDetail) -> bool,
) -> Result<Option<RunDetail>, Failure> {
    let query = RunListQuery::default();
    let runs = collect_pages(Some(RUNS_SEARCHED), async |page| {
        client.run_list(&query, &page).await
    })
    .await?;
    for run in runs {
        let detail = client.run_view(run.id).await?;
        if wanted(&detail) {
            return Ok(Some(detail));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_win_over_files_and_names_are_those_of_the_configuration() {
        let config = json!({"version":"1.0","agents":{"demo":{"framework":"shell",
            "environment":{"A":"${{ vars.A }}","B":"${{ secrets.B }}"}}}});
        let names = Names::of(Some(&config));
        let source = |name: &str| Some(format!("file-{name}"));
        let options = [
            ("A".to_owned(), "option".to_owned()),
            ("X".to_owned(), "x".to_owned()),
        ];
        let variables = choose(&options, &names.variables, source).unwrap();
        assert_eq!(variables.into_iter().collect::<Vec<_>>(), options);
        let secrets = choose(&[], &names.secrets, source).unwrap();
        assert_eq!(secrets["B"], "file-B");
        assert_eq!(choose(&[], &Names::of(None).secrets, source), None);
    }
}
