//! What a run consumed, and runs that consume more than they may.

use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::{Api, ModelServer, Server, host};

use crate::agents;
use crate::sandboxes::{options, server};

crate::on_each_sandbox!(
    an_agent_that_lies_about_its_usage_is_not_believed,
    a_cancelled_run_has_used_what_its_model_answered,
    claude_code_is_stopped_when_its_tokens_are_used_up,
    codex_is_stopped_when_its_turns_are_used_up,
    a_run_is_stopped_when_its_cost_is_over,
    a_model_without_a_price_is_named_once,
    a_run_is_stopped_when_its_time_is_used_up,
    a_run_within_its_budget_completes,
);

const LIMIT: Duration = Duration::from_secs(90);
const ASKS: &str = r#"ask() { curl -s -m 30 -H 'content-type: application/json' \
    -d '{"model":"'$1'","messages":[]}' "$ANTHROPIC_BASE_URL/v1/messages" > answer; }
"#;

/// A server whose sandboxes reach `model`, and an agent that is a script.
async fn script_agent(kind: &str, model: &ModelServer, budget: Value) -> Server {
    let server = options(kind)
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{}", model.port()))
        .start();
    let rule = json!({ "domain": "host.vm0.internal", "ports": [model.port()], "action": "allow" });
    let config = json!({ "version": "1.0", "agents": { "scripted": { "framework": "custom",
        "command": ["bash", "-c", "{prompt}"], "budget": budget,
        "environment": { "ANTHROPIC_BASE_URL": model.url_inside() },
        "network": { "mode": "allowlist", "rules": [rule] } } } });
    server.api().agent(&config).await;
    server
}

async fn scripted(server: &Server, script: &str) -> (String, Value) {
    let api = server.api();
    let prompt = format!("{ASKS}{script}");
    let body = json!({ "agent": "scripted", "prompt": prompt, "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    (id, run)
}

async fn salvaged(api: &Api, run: &Value, path: &str) -> Vec<u8> {
    let version = run["salvaged_artifact_version"].as_str();
    let version = version.unwrap_or_else(|| panic!("the files are kept: {run}"));
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api.download("artifacts", &artifact, Some(version)).await;
    files[path].clone()
}

async fn system_log(api: &Api, id: &str) -> String {
    let path = format!("/v1/runs/{id}/logs?type=system&limit=100");
    api.get(&path).await.expect(200).to_string()
}

fn assert_failed(run: &Value, error: &str) {
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], error, "{run}");
    assert_eq!(run["exit_code"], Value::Null, "{run}");
}

async fn an_agent_that_lies_about_its_usage_is_not_believed(kind: &str) {
    let model = ModelServer::start().await;
    let server = script_agent(kind, &model, json!({})).await;
    let lie =
        r#"echo '{"type":"result","result":"done","usage":{"input_tokens":1,"output_tokens":2}}'"#;
    let script = format!("ask claude-opus-5; ask claude-opus-5; {lie}");
    let (_, run) = scripted(&server, &script).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(model.requests().len(), 2);
    // Per request 100 at $5, 20 at $0.50, 10 at $6.25 and 40 at $25 a million.
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 260, "output_tokens": 80, "cost_usd": 0.003_145 })
    );
    let (_, run) = scripted(&server, lie).await;
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 1, "output_tokens": 2, "cost_usd": null }),
        "what nobody else saw is believed"
    );
}

async fn a_cancelled_run_has_used_what_its_model_answered(kind: &str) {
    let model = ModelServer::start().await;
    let server = script_agent(kind, &model, json!({})).await;
    let api = server.api();
    let prompt = format!("{ASKS}ask claude-opus-5; echo '{{\"type\":\"asked\"}}'; sleep 600");
    let id = api
        .run(&json!({ "agent": "scripted", "prompt": prompt }))
        .await;
    api.run_event(&id, |event| event["type"] == "asked").await;
    api.post(&format!("/v1/runs/{id}/cancel"), &json!({}))
        .await
        .expect(200);
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
    let run = api.get(&format!("/v1/runs/{id}")).await.expect(200);
    assert_eq!(run["status"], "cancelled", "{run}");
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 130, "output_tokens": 40, "cost_usd": 0.001_572_5 })
    );
}

/// What the agent did with the first answer is kept, the second one is too much.
async fn claude_code_is_stopped_when_its_tokens_are_used_up(kind: &str) {
    let model = ModelServer::start().await;
    let server = agents::server(kind, "claude-code", &model);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "claude-code",
        "budget": { "max_tokens": 200 },
        "environment": { "ANTHROPIC_API_KEY": "${{ secrets.ANTHROPIC_API_KEY }}",
                         "ANTHROPIC_BASE_URL": model.url_inside() } } } });
    api.agent(&config).await;
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo kept > made.txt]RUN",
        "secrets": { "ANTHROPIC_API_KEY": "sk-ant-api03-test-key-0123456789" },
        "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_failed(&run, "budget exceeded: 340 of 200 tokens");
    assert_eq!(run["usage"]["input_tokens"], 260, "{run}");
    assert_eq!(run["usage"]["output_tokens"], 80, "{run}");
    assert_eq!(salvaged(&api, &run, "made.txt").await, b"kept\n");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
}

async fn codex_is_stopped_when_its_turns_are_used_up(kind: &str) {
    let model = ModelServer::start().await;
    let server = agents::server(kind, "codex", &model);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "codex",
        "budget": { "max_turns": 1 },
        "environment": { "OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}",
                         "OPENAI_MODEL": "scripted",
                         "OPENAI_BASE_URL": format!("{}/v1", model.url_inside()) } } } });
    api.agent(&config).await;
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo kept > made.txt]RUN",
        "secrets": { "OPENAI_API_KEY": "sk-proj-test-key-0123456789" }, "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_failed(&run, "budget exceeded: 2 of 1 turns");
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 200, "output_tokens": 80, "cost_usd": null })
    );
    assert_eq!(salvaged(&api, &run, "made.txt").await, b"kept\n");
}

/// The agent would go on for ever.
async fn a_run_is_stopped_when_its_cost_is_over(kind: &str) {
    let model = ModelServer::start().await;
    let server = script_agent(kind, &model, json!({ "max_cost_usd": 0.003 })).await;
    let script = "while :; do ask claude-opus-5; echo again >> times; done";
    let (id, run) = scripted(&server, script).await;
    assert_eq!(run["status"], "failed", "{run}");
    let error = run["error"].as_str().expect("an error");
    assert!(error.starts_with("budget exceeded: $0.00"), "{error}");
    assert!(error.ends_with(" of $0.0030"), "{error}");
    let api = server.api();
    assert!(!salvaged(&api, &run, "times").await.is_empty());
    let log = system_log(&api, &id).await;
    assert!(log.contains(&format!("agent stopped: {error}")), "{log}");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
}

async fn a_model_without_a_price_is_named_once(kind: &str) {
    let model = ModelServer::start().await;
    let server = script_agent(kind, &model, json!({ "max_cost_usd": 0.5 })).await;
    let (id, run) = scripted(&server, "ask mystery-1; ask mystery-2").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["usage"]["cost_usd"], Value::Null, "{run}");
    let log = system_log(&server.api(), &id).await;
    assert_eq!(log.matches("no price is known of").count(), 1, "{log}");
    assert!(log.contains("model 'mystery-1'"), "{log}");
    let said = r#"echo '{"type":"result","total_cost_usd":0.75}'; sleep 600"#;
    let (_, run) = scripted(&server, &format!("ask mystery-1; {said}")).await;
    assert_failed(&run, "budget exceeded: $0.7500 of $0.5000");
    assert_eq!(run["usage"]["cost_usd"], 0.75, "{run}");
}

async fn a_run_is_stopped_when_its_time_is_used_up(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "sleeper": { "framework": "shell",
        "budget": { "max_duration": "2s" } } } });
    api.agent(&config).await;
    let body = json!({ "agent": "sleeper", "prompt": "echo kept > file; sleep 600",
        "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_failed(&run, "budget exceeded: longer than 2 s");
    assert_eq!(salvaged(&api, &run, "file").await, b"kept\n");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
}

async fn a_run_within_its_budget_completes(kind: &str) {
    let model = ModelServer::start().await;
    let budget = json!({ "max_tokens": 340, "max_turns": 2, "max_cost_usd": 0.004,
                         "max_duration": "1h" });
    let server = script_agent(kind, &model, budget).await;
    let (_, run) = scripted(&server, "ask claude-opus-5; ask claude-opus-5; echo ok").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["output"], "ok");
    let (_, run) = scripted(&server, "for i in 1 2 3; do ask claude-opus-5; done").await;
    assert_failed(&run, "budget exceeded: 510 of 340 tokens");
}
