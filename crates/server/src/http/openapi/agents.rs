//! Agents (API 3).

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::wire::agents::{Agent, AgentDetail, AgentPut, AgentVersion};
use vm0_model::{AgentId, ErrorCode};

use super::body::Body;
use super::operation::Described;
use super::{agent_config, form};

const AGENT: &str = "/v1/agents/{id}";

pub(super) fn operations() -> Vec<Described> {
    vec![
        agent("agent_list", Method::GET, "/v1/agents")
            .text("List agents", "The agents of the caller.")
            .query(
                "name",
                form::text(),
                "Only the agent of this name, compared in lower case.",
            )
            .paged()
            .answer(
                200,
                "A page of agents.",
                Body::of::<Agent>().page(),
                page(item()),
            ),
        agent("agent_put", Method::POST, "/v1/agents")
            .text("Create an agent or a version of it", PUT)
            .body(put(), [("compose", put_example())])
            .answer(
                201,
                "A new agent with its first version.",
                detail(),
                composed("created"),
            )
            .answer(
                200,
                "An agent that existed, at this content now.",
                detail(),
                composed("updated"),
            ),
        agent("agent_view", Method::GET, AGENT)
            .text("Get an agent", "")
            .id::<AgentId>("Id of the agent.")
            .answer(200, "The agent.", detail(), view()),
        agent("agent_update", Method::PUT, AGENT)
            .text("Make a version of an agent", UPDATE)
            .id::<AgentId>("Id of the agent.")
            .body(put(), [("compose", put_example())])
            .answer(
                200,
                "The agent at this content.",
                detail(),
                composed("updated"),
            ),
        agent("agent_delete", Method::DELETE, AGENT)
            .text("Delete an agent", DELETE)
            .id::<AgentId>("Id of the agent.")
            .errors(&[ErrorCode::AgentHasActiveRuns])
            .no_content(204, "It is gone.", &[]),
        agent(
            "agent_version_list",
            Method::GET,
            "/v1/agents/{id}/versions",
        )
        .text(
            "List the versions of an agent",
            "Newest and so highest number first.",
        )
        .id::<AgentId>("Id of the agent.")
        .paged()
        .answer(
            200,
            "A page of versions, each with its configuration.",
            Body::of::<AgentVersion>().page(),
            page(version_with_config()),
        ),
    ]
}

const PUT: &str = "Finds the agent by the name in `config` and creates it if there is none. \
    Content that is a version already becomes the head again, keeping its number and message. \
    `action` says which of the three happened.";

const UPDATE: &str = "Like creating one, but the agent is addressed by its id; another name in \
    `config` than the agent's is `invalid_parameter`.";

const DELETE: &str = "The agent and its versions are gone and its name is free. Its runs, sessions \
    and checkpoints stay readable but can no longer be continued.";

fn agent(name: &str, method: Method, path: &'static str) -> Described {
    Described::new(method, path, name, "Agents")
}

fn detail() -> Body {
    Body::of::<AgentDetail>()
}

fn put() -> Body {
    let config = agent_config::body();
    let mut object = Body::object::<AgentPut>();
    object
        .properties
        .insert("config".to_owned(), config.reference());
    Body::made("AgentPut", object, [config])
}

/// A page with this one item and nothing after it.
pub(super) fn page(item: Value) -> Value {
    json!({ "data": [item], "pagination": { "has_more": false, "next_cursor": null } })
}

fn config() -> Value {
    json!({
        "version": "1.0",
        "agents": { "my-agent": {
            "framework": "claude-code",
            "description": "My agent description",
            "environment": { "ANTHROPIC_API_KEY": "${{ secrets.ANTHROPIC_API_KEY }}" },
            "volumes": ["input-data:/home/user/data"],
        } },
        "volumes": { "input-data": { "name": "input-data", "version": "latest" } },
    })
}

fn put_example() -> Value {
    json!({ "config": config(), "message": "First version" })
}

fn item() -> Value {
    json!({
        "id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "name": "my-agent",
        "description": "My agent description",
        "current_version_id": "0a6bc1e3e929c21988b2fd40acebee07822bc26df74b86107dc54bf270ab2095",
        "created_at": "2026-01-14T10:30:00.000Z",
        "updated_at": "2026-01-14T10:30:00.000Z",
    })
}

fn version() -> Value {
    json!({
        "id": "0a6bc1e3e929c21988b2fd40acebee07822bc26df74b86107dc54bf270ab2095",
        "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "version_number": 1,
        "message": "First version",
        "created_by": "ada",
        "created_at": "2026-01-14T10:30:00.000Z",
    })
}

fn version_with_config() -> Value {
    let mut version = version();
    version["config"] = config();
    version
}

fn view() -> Value {
    let mut agent = item();
    agent["current_version"] = version();
    agent["config"] = config();
    agent
}

fn composed(action: &str) -> Value {
    let mut agent = view();
    agent["action"] = json!(action);
    agent
}
