//! Runs of the built-in agent `shell`, timed from the POST to the first output event.

use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};
use vm0_client::{Client, RunEventBody};
use vm0_model::run::RunStatus;
use vm0_model::wire::agents::AgentPut;
use vm0_model::wire::runs::RunCreate;

use crate::error::Failure;

const AGENT: &str = "bench-shell";

/// One timed run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed {
    /// From the POST to the first output event; none if there was none.
    pub(super) first_event_ms: Option<f64>,
    /// Waiting for a slot.
    pub(super) queue_ms: f64,
    /// From the claim to the start of the agent.
    pub(super) sandbox_ready_ms: f64,
    /// Whether the run completed.
    pub(super) completed: bool,
}

impl Timed {
    /// What is neither waiting nor the sandbox: HTTP, the agent's own start, the event's way.
    pub(super) fn rest_ms(&self) -> f64 {
        let total = self.first_event_ms.unwrap_or_default();
        (total - self.queue_ms - self.sandbox_ready_ms).max(0.0)
    }
}

/// Makes the agent that is measured.
pub(super) async fn define_agent(client: &Client) -> Result<(), Failure> {
    define(
        client,
        AGENT,
        json!({ "framework": "shell", "network": { "mode": "none" } }),
        json!({}),
    )
    .await
}

/// Makes an agent.
pub(super) async fn define(
    client: &Client,
    name: &str,
    agent: Value,
    volumes: Value,
) -> Result<(), Failure> {
    let config = json!({ "version": "1.0", "agents": { name: agent }, "volumes": volumes });
    client
        .agent_put(&AgentPut {
            config,
            message: None,
        })
        .await?;
    Ok(())
}

/// One run, to its end.
pub(super) async fn one(client: &Client) -> Result<Timed, Failure> {
    timed(client, AGENT).await
}

/// Runs one after the other.
pub(super) async fn sequential(client: &Client, count: u32) -> Result<Vec<Timed>, Failure> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(client).await?);
    }
    Ok(all)
}

/// Runs that are all asked for at once.
pub(super) async fn concurrent(client: &Client, count: u32) -> Result<Vec<Timed>, Failure> {
    let mut running: FuturesUnordered<_> = (0..count).map(|_| one(client)).collect();
    let mut all = Vec::new();
    while let Some(timed) = running.next().await {
        all.push(timed?);
    }
    Ok(all)
}

/// One run of the agent `name`, to its end.
pub(super) async fn timed(client: &Client, name: &str) -> Result<Timed, Failure> {
    let body = RunCreate {
        prompt: "true".to_owned(),
        agent: Some(name.to_owned()),
        ..RunCreate::default()
    };
    let key = uuid::Uuid::new_v4().to_string();
    let started = Instant::now();
    let run = client.run_create(&body, &key).await?.run.id;
    let mut follow = client.run_follow(run, 0);
    let mut first_event_ms = None;
    while let Some(event) = follow.next().await? {
        if matches!(event.body, RunEventBody::Output(_)) && first_event_ms.is_none() {
            first_event_ms = Some(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    let ended = client.run_view(run).await?;
    let millis = |millis: Option<i64>| millis.unwrap_or_default() as f64;
    Ok(Timed {
        first_event_ms,
        queue_ms: millis(ended.timings.queue_ms),
        sandbox_ready_ms: millis(ended.timings.sandbox_ready_ms),
        completed: ended.run.status == RunStatus::Completed,
    })
}
