//! `vm0 run AGENT PROMPT`, `continue` and `resume`: creating the run.

use std::io::Read;

use vm0_client::Client;
use vm0_model::id::{CheckpointId, SessionId};
use vm0_model::limits::PROMPT_MAX_BYTES;
use vm0_model::wire::runs::{RunCreate, RunDetail};

use super::command::RunOptions;
use super::given;
use super::watch::{Form, watch};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::values::{AgentRef, map_of};

/// What the run starts from.
#[derive(Debug)]
pub(crate) enum Selector {
    /// An agent.
    Agent(AgentRef),
    /// The latest state of a session.
    Session {
        /// The session.
        id: SessionId,
        /// Another version of its agent.
        agent_version: Option<String>,
    },
    /// A checkpoint.
    Checkpoint {
        /// The checkpoint.
        id: CheckpointId,
        /// Another version of its agent.
        agent_version: Option<String>,
    },
}

/// Creates the run and shows it to its end.
pub(super) async fn execute(
    context: &Context,
    selector: Selector,
    prompt: String,
    options: RunOptions,
) -> CommandResult {
    let client = context.client()?;
    let mut interrupt = Interrupt::listen()?;
    let run = run_create(&client, &mut interrupt, &selector, prompt, &options).await?;
    if options.detach {
        if context.output.is_json() {
            context.output.json(&run)?;
        } else {
            context.output.line(&run.run.id.to_string())?;
        }
        return Ok(Exit::Done);
    }
    let form = Form::of(context, &options);
    Ok(watch(context, &client, &mut interrupt, run, form)
        .await?
        .exit)
}

/// Creates the run.
pub(crate) async fn run_create(
    client: &Client,
    interrupt: &mut Interrupt,
    selector: &Selector,
    prompt: String,
    options: &RunOptions,
) -> Result<RunDetail, Failure> {
    let body = async {
        let prompt = read_prompt(prompt).await?;
        request(client, selector, prompt, options).await
    };
    let body = interrupt.race(body).await?;
    let key = uuid::Uuid::new_v4().to_string();
    let hint = "If the run was made, it goes on: vm0 run list";
    interrupt
        .race_change(client.run_create(&body, &key), hint)
        .await
}

async fn read_prompt(prompt: String) -> Result<String, Failure> {
    if prompt != "-" {
        return Ok(prompt);
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        let limit = PROMPT_MAX_BYTES as u64 + 1;
        let stdin = std::io::stdin().lock();
        stdin.take(limit).read_to_string(&mut text).map(|_| text)
    });
    let read = read.await.expect("reading does not panic");
    read.map_err(|error| Failure::usage(format!("Cannot read the prompt from stdin: {error}")))
}

async fn request(
    client: &Client,
    selector: &Selector,
    prompt: String,
    options: &RunOptions,
) -> Result<RunCreate, Failure> {
    let given = given::collect(client, selector, options).await?;
    let mut body = RunCreate {
        prompt,
        variables: given.variables,
        secrets: given.secrets,
        artifact_name: options.artifact_name.clone(),
        artifact_version: options.artifact_version.clone(),
        volumes: map_of(&options.volume_version),
        timeout_seconds: options.timeout,
        ..RunCreate::default()
    };
    match selector {
        Selector::Agent(AgentRef::Id(id)) => body.agent_id = Some(id.to_string()),
        Selector::Agent(AgentRef::Name { name, version }) => {
            body.agent = Some(name.clone());
            body.agent_version.clone_from(version);
        }
        Selector::Session { id, agent_version } => {
            body.session_id = Some(id.to_string());
            body.agent_version.clone_from(agent_version);
        }
        Selector::Checkpoint { id, agent_version } => {
            body.checkpoint_id = Some(id.to_string());
            body.agent_version.clone_from(agent_version);
        }
    }
    Ok(body)
}
