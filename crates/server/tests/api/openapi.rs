//! The description of the API (API 13): it is complete, checked in, and true.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use vm0_model::ErrorCode;
use vm0_server::endpoints;

use crate::described::Description;
use crate::harness::{Answer, Harness};
use crate::storages;

#[test]
fn the_document_has_every_public_endpoint_and_nothing_else() {
    let signed = |path: &str| path.starts_with("/objects/");
    let internal = |path: &str| path.starts_with("/api/runner/");
    // For people with a browser, and for `vm0 auth login` before it has a token (CLI 9).
    let sign_in = |path: &str| {
        path == "/"
            || path == "/device"
            || path.starts_with("/sign-")
            || path.starts_with("/api/cli/")
    };
    let public: BTreeSet<_> = endpoints()
        .into_iter()
        .filter(|endpoint| !signed(endpoint.path))
        .filter(|endpoint| !internal(endpoint.path) && !sign_in(endpoint.path))
        .map(|endpoint| {
            (
                endpoint.path.to_owned(),
                endpoint.method.as_str().to_lowercase(),
            )
        })
        .collect();
    let described: BTreeSet<_> = Description::get()
        .operations()
        .map(|operation| (operation.path.to_owned(), operation.method.to_owned()))
        .collect();
    assert_eq!(described, public);
}

#[test]
fn the_document_that_is_checked_in_is_the_one_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/vm0-v1.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == vm0_server::openapi_json(),
        "openapi/vm0-v1.json is old; make it anew with\n    \
         cargo run -p vm0-server --example openapi > openapi/vm0-v1.json"
    );
}

#[test]
fn every_example_is_one_that_its_schema_allows() {
    let description = Description::get();
    let mut examples = 0;
    for operation in description.operations() {
        let bodies = [&operation.entry["requestBody"]];
        let responses = operation.entry["responses"].as_object().unwrap().values();
        for body in bodies.into_iter().chain(responses) {
            let contents = description.resolve(body)["content"].as_object();
            for content in contents.into_iter().flat_map(|contents| contents.values()) {
                let named = content["examples"].as_object().into_iter().flatten();
                let named = named.map(|(_, example)| &example["value"]);
                for example in content.get("example").into_iter().chain(named) {
                    let fault = description.body_fault(&content["schema"], example);
                    assert_eq!(fault, None, "{} {example}", operation.path);
                    examples += 1;
                }
            }
        }
    }
    assert!(examples > 100, "{examples}");
}

#[test]
fn every_body_has_an_example() {
    let description = Description::get();
    for operation in description
        .operations()
        .filter(|o| o.path != "/openapi.json")
    {
        let bodies = [&operation.entry["requestBody"]];
        let responses = operation.entry["responses"].as_object().unwrap().values();
        for body in bodies.into_iter().chain(responses) {
            let contents = description.resolve(body)["content"].as_object();
            for content in contents.into_iter().flat_map(|contents| contents.values()) {
                let has = content.get("example").or(content.get("examples")).is_some();
                assert!(has, "{} {}", operation.method, operation.path);
            }
        }
    }
}

#[test]
fn every_error_code_of_an_operation_is_named() {
    let document = Description::get().document.to_string();
    for code in ErrorCode::ALL {
        // Signed URLs are opaque and no operations.
        if *code != ErrorCode::InvalidSignature {
            assert!(document.contains(&format!("`{code}`: ")), "{code}");
        }
    }
    // Its readers do not have the pages that our comments speak of.
    assert!(!document.contains("(API "));
}

#[test]
fn the_extensions_are_marked() {
    for operation in Description::get().operations() {
        let resources = [
            "sessions",
            "checkpoints",
            "secrets",
            "variables",
            "schedules",
        ];
        let extension = resources.contains(&operation.path.split('/').nth(2).unwrap_or_default())
            || operation.path.ends_with("/exec")
            || operation.path.ends_with("/network");
        let marked = operation.entry["x-extension"] == json!(true);
        assert_eq!(marked, extension, "{}", operation.path);
    }
}

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let harness = Harness::start().await;
    let url = format!("{}/openapi.json", harness.server.url());
    let answer = Answer::read(harness.http.get(url).send().await.unwrap()).await;
    assert_eq!(answer.json(), Description::get().document);
}

/// Every success of every operation; each answer is compared with the document as it is read.
#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let harness = Harness::start().await;
    agents(&harness).await;
    agent_changes(&harness).await;
    runs(&harness).await;
    for kind in ["volumes", "artifacts"] {
        storages(&harness, kind).await;
    }
    for kind in ["secrets", "variables"] {
        stored_values(&harness, kind).await;
    }
    schedules(&harness).await;
    tokens(&harness).await;
    for path in [
        "/health",
        "/openapi.json",
        "/schema/vm0.yaml.json",
        "/metrics",
    ] {
        assert_eq!(harness.get(path).await.status, 200);
    }
    let missing: Vec<_> = successes()
        .difference(&Description::get().seen())
        .cloned()
        .collect();
    assert_eq!(missing, []);
}

fn successes() -> BTreeSet<(String, u16)> {
    let operations = Description::get().operations();
    operations
        .flat_map(|operation| {
            let name = operation.entry["operationId"].as_str().unwrap();
            let responses = operation.entry["responses"].as_object().unwrap();
            let statuses = responses.keys().map(|status| status.parse().unwrap());
            statuses
                .filter(|status| *status < 400)
                .map(move |status| (name.to_owned(), status))
                .collect::<Vec<_>>()
        })
        .collect()
}

async fn agents(harness: &Harness) {
    let agent = harness.agent(json!({})).await;
    harness.agent(json!({ "description": "d" })).await;
    let id = agent["id"].as_str().unwrap();
    for path in [
        "/v1/agents",
        &format!("/v1/agents/{id}"),
        &format!("/v1/agents/{id}/versions"),
    ] {
        assert_eq!(harness.get(path).await.status, 200);
    }
}

/// An agent without runs, whose conversations nobody needs.
async fn agent_changes(harness: &Harness) {
    let agent = json!({ "framework": "shell" });
    let config = json!({ "version": "1.0", "agents": { "gone": agent } });
    let body = json!({ "config": config });
    let made = harness.post("/v1/agents", body.clone()).await.json();
    let path = format!("/v1/agents/{}", made["id"].as_str().unwrap());
    harness.put(&path, body).await;
    harness.delete(&path).await;
}

async fn runs(harness: &Harness) {
    let run = harness.run().await;
    harness.claim().await;
    harness.append(&run, 0, &["a"]).await;
    let sample = json!({
        "timestamp": "2026-01-15T10:30:00.000Z", "cpu_percent": 12.5, "memory_used_bytes": 1,
        "memory_total_bytes": 2, "disk_used_bytes": 1, "disk_total_bytes": 2,
        "network_rx_bytes": 0, "network_tx_bytes": 0,
    });
    let body = json!({ "epoch": 1, "offset": 0, "samples": [sample] });
    harness.runner(&format!("/runs/{run}/metrics"), body).await;
    let upgrade = harness
        .request(Method::GET, &format!("/v1/runs/{run}/exec"))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", "vm0.exec.v1");
    let upgraded = Answer::read(upgrade.send().await.unwrap()).await;
    assert_eq!(upgraded.status, 101, "{upgraded:?}");
    let network = format!("/v1/runs/{run}/network");
    assert_eq!(harness.put(&network, json!({})).await.status, 200);
    harness.complete(&run).await;
    for path in ["", "/events", "/logs", "/metrics", "/network"] {
        let answer = harness.get(&format!("/v1/runs/{run}{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    let events = harness
        .request(Method::GET, &format!("/v1/runs/{run}/events"))
        .header("Accept", "application/json");
    Answer::read(events.send().await.unwrap()).await;
    harness.get("/v1/runs").await;
    harness.get("/v1/sessions").await;
    let detail = harness.get(&format!("/v1/runs/{run}")).await.json();
    for kind in ["session", "checkpoint"] {
        let id = detail[format!("{kind}_id")].as_str().unwrap();
        harness.get(&format!("/v1/{kind}s/{id}")).await;
    }
    let second = harness.run().await;
    harness
        .post(&format!("/v1/runs/{second}/cancel"), json!({}))
        .await;
}

async fn storages(harness: &Harness, kind: &str) {
    let made = harness
        .post(&format!("/v1/{kind}"), json!({ "name": "data" }))
        .await;
    let path = format!("/v1/{kind}/{}", made.json()["id"].as_str().unwrap());
    let archive = storages::archive(&[("a.txt", b"hello\n")]);
    let session = storages::upload(harness, &path, &storages::hello(), archive).await;
    let body = json!({ "upload_session_id": session });
    harness.post(&format!("{path}/commit"), body).await;
    for path in [
        format!("/v1/{kind}"),
        path.clone(),
        format!("{path}/versions"),
    ] {
        assert_eq!(harness.get(&path).await.status, 200);
    }
    assert_eq!(harness.get(&format!("{path}/download")).await.status, 302);
    harness.delete(&path).await;
}

async fn stored_values(harness: &Harness, kind: &str) {
    let path = format!("/v1/{kind}/NAME");
    for status in [201, 200] {
        let answer = harness.put(&path, json!({ "value": "v" })).await;
        assert_eq!(answer.status, status);
    }
    for path in [&format!("/v1/{kind}"), &path] {
        assert_eq!(harness.get(path).await.status, 200);
    }
    assert_eq!(harness.delete(&path).await.status, 204);
}

async fn schedules(harness: &Harness) {
    let body = json!({ "agent": "demo", "cron": "@daily", "prompt": "x" });
    let made = harness.post("/v1/schedules", body).await;
    let path = format!("/v1/schedules/{}", made.json()["id"].as_str().unwrap());
    for path in ["/v1/schedules", &path] {
        assert_eq!(harness.get(path).await.status, 200);
    }
    for action in ["disable", "enable"] {
        let answer = harness.post(&format!("{path}/{action}"), json!({})).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(harness.delete(&path).await.status, 204);
}

async fn tokens(harness: &Harness) {
    let made = harness.post("/v1/tokens", json!({ "name": "ci" })).await;
    let path = format!("/v1/tokens/{}", made.json()["id"].as_str().unwrap());
    for path in ["/v1/tokens", &path] {
        assert_eq!(harness.get(path).await.status, 200);
    }
    assert_eq!(harness.delete(&path).await.status, 204);
}

#[test]
fn what_may_be_null_is_there_and_what_may_be_absent_is_not_null() {
    let schemas = &Description::get().document["components"]["schemas"];
    let nullable = |field: &Value| {
        field["type"]
            .as_array()
            .is_some_and(|types| types.contains(&json!("null")))
            || field["oneOf"]
                .as_array()
                .is_some_and(|all| all.contains(&json!({"type": "null"})))
    };
    for name in [
        "Agent",
        "AgentDetail",
        "AgentVersion",
        "Run",
        "RunDetail",
        "LogLine",
        "Storage",
    ] {
        let required = schemas[name]["required"].as_array().unwrap();
        for (field, schema) in schemas[name]["properties"].as_object().unwrap() {
            if nullable(schema) {
                assert!(required.contains(&json!(field)), "{name}.{field}");
            }
        }
    }
    let optional = [
        ("AgentDetail", "action"),
        ("RunDetail", "volumes"),
        ("LogLine", "metadata"),
    ];
    for (name, field) in optional {
        assert!(
            !nullable(&schemas[name]["properties"][field]),
            "{name}.{field}"
        );
        assert!(
            !schemas[name]["required"]
                .as_array()
                .unwrap()
                .contains(&json!(field))
        );
    }
}
