//! Creating, listing and cancelling runs (API 4).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness};

const UNKNOWN: &str = "019bc134-7840-7cba-a551-2100f80b56fc";

#[tokio::test]
async fn the_checks_of_a_run_request_come_in_their_order() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let post = |body: Value| harness.post("/v1/runs", body);
    let message =
        post(json!({ "agent": "" }))
            .await
            .error(400, "invalid_parameter", Some("prompt"));
    assert_eq!(message, "Prompt is required");
    let body = json!({ "prompt": "x", "variables": { "DEBUG": 1 } });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("variables.DEBUG"));
    let body = json!({ "prompt": "x", "timeout_seconds": 0 });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("timeout_seconds"));
    post(json!({ "prompt": "x" }))
        .await
        .error(400, "missing_parameter", None);
    let message = post(json!({ "prompt": "x", "agent": "Nobody" }))
        .await
        .error(404, "resource_not_found", Some("agent"));
    assert_eq!(message, "No such agent: 'Nobody'");
    for field in ["agent_id", "session_id", "checkpoint_id"] {
        post(json!({ "prompt": "x", field: UNKNOWN })).await.error(
            404,
            "resource_not_found",
            Some(field),
        );
    }
    let versioned =
        |version: &str| json!({ "prompt": "x", "agent": "DEMO", "agent_version": version });
    let param = Some("agent_version");
    post(versioned("abc"))
        .await
        .error(400, "invalid_parameter", param);
    post(versioned("zzzzzzzz"))
        .await
        .error(400, "invalid_parameter", param);
    let message = post(versioned("00000000"))
        .await
        .error(404, "resource_not_found", param);
    assert_eq!(message, "No such agent version: '00000000'");
    let body = json!({ "prompt": "x", "agent": "demo", "artifact_version": "latest" });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("artifact_version"));
    let body = json!({ "prompt": "x", "agent": "demo", "artifact_name": "new", "artifact_version": "00000000" });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("artifact_version"));
}

#[tokio::test]
async fn values_are_checked_last_and_the_limit_before_the_agent() {
    let harness = Harness::start_with(|config| config.concurrent_run_limit = 1).await;
    let env = json!({ "A": "${{ vars.A }}", "B": "${{ secrets.B }}" });
    harness.agent(json!({ "environment": env })).await;
    let post = |body: Value| harness.post("/v1/runs", body);
    let message = post(json!({ "prompt": "x", "agent": "demo" })).await.error(
        400,
        "invalid_parameter",
        Some("variables"),
    );
    assert_eq!(
        message,
        "Missing required variables: A. Use '--vars A=<value>' or '--env-file <path>' to provide them."
    );
    let body =
        json!({ "prompt": "x", "agent": "demo", "variables": { "A": "" }, "secrets": { "B": "" } });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("secrets"));
    let good = json!({ "prompt": "x", "agent": "demo", "variables": { "A": "" }, "secrets": { "B": "b" } });
    let big = json!({ "prompt": "x", "agent": "demo", "variables": { "A": "x".repeat(131_072) }, "secrets": { "B": "b" } });
    post(big)
        .await
        .error(400, "invalid_parameter", Some("variables"));
    assert_eq!(post(good.clone()).await.status, 202);
    let limited = post(good).await;
    limited.error(429, "concurrent_run_limit_exceeded", None);
    assert_eq!(limited.header("retry-after"), Some("5"));
    // The limit is looked at before the agent is.
    post(json!({ "prompt": "x", "agent": "Nobody" }))
        .await
        .error(429, "concurrent_run_limit_exceeded", None);
}

#[tokio::test]
async fn a_pending_run_shows_what_it_was_given_and_can_be_cancelled_once() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({ "timeout_seconds": 60 })).await;
    let body = json!({ "prompt": "true", "agent": "demo", "artifact_name": "out" });
    let run = harness.post("/v1/runs", body).await.json();
    let id = run["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "agent_id": agent["id"], "agent_name": "demo", "status": "pending",
        "prompt": "true", "created_at": run["created_at"], "started_at": null,
        "completed_at": null, "error": null, "execution_time_ms": null, "checkpoint_id": null,
        "session_id": null, "artifact_name": "out", "artifact_version": null,
        "salvaged_artifact_version": null, "agent_version": agent["current_version_id"],
        "timeout_seconds": 60, "output": null, "exit_code": null, "sandbox": null, "usage": null,
        "timings": { "queue_ms": null, "sandbox_ready_ms": null },
    });
    assert_eq!(run, expected);
    assert_eq!(
        harness.get("/v1/artifacts?name=out").await.json()["data"][0]["name"],
        "out"
    );
    let cancel = format!("/v1/runs/{id}/cancel");
    assert_eq!(
        harness.post(&cancel, json!({})).await.json()["status"],
        "cancelled"
    );
    let message = harness
        .post(&cancel, json!({}))
        .await
        .error(400, "invalid_state", None);
    assert_eq!(
        message,
        "Run cannot be cancelled: current status is 'cancelled'"
    );
    assert_eq!(
        harness.get("/v1/runs?status=cancelled").await.json()["data"][0]["id"],
        id
    );
    assert_eq!(
        harness.get("/v1/runs?agent_id=x").await.json()["data"],
        json!([])
    );
    harness
        .get("/v1/runs?status=Pending")
        .await
        .error(400, "invalid_parameter", Some("status"));
    harness
        .get("/v1/runs?since=2026-01-15")
        .await
        .error(400, "invalid_parameter", Some("since"));
    let message =
        harness
            .get("/v1/runs?cursor=abc123")
            .await
            .error(400, "invalid_parameter", Some("cursor"));
    assert_eq!(message, "Invalid cursor");
}

#[tokio::test]
async fn a_walk_through_pages_yields_each_run_once() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(harness.run().await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = harness
            .get(&format!("/v1/runs?limit=2&cursor={cursor}"))
            .await
            .json();
        for run in page["data"].as_array().unwrap() {
            seen.push(run["id"].as_str().unwrap().to_owned());
        }
        harness.run().await;
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    created.reverse();
    assert_eq!(seen, created);
}

#[tokio::test]
async fn a_key_with_an_equal_body_answers_the_same_run() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let post = |key: &str, body: &'static str| {
        let request = harness.request(Method::POST, "/v1/runs");
        let request = request
            .header("Idempotency-Key", key)
            .header("Content-Type", "application/json");
        async move { Answer::read(request.body(body).send().await.unwrap()).await }
    };
    let first = post("k", r#"{"agent":"demo","prompt":"x"}"#).await;
    let again = post("k", r#" {"prompt":"x", "agent":"demo"}"#).await;
    assert_eq!(
        (again.status, &again.json()["id"]),
        (202, &first.json()["id"])
    );
    post("k", r#"{"agent":"demo","prompt":"y"}"#).await.error(
        409,
        "idempotency_key_reused",
        Some("Idempotency-Key"),
    );
    post(&"k".repeat(256), r#"{"agent":"demo","prompt":"x"}"#)
        .await
        .error(400, "invalid_parameter", Some("Idempotency-Key"));
    assert_eq!(
        harness.get("/v1/runs").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn simultaneous_requests_with_one_key_make_one_run_that_all_answer() {
    let harness = Harness::start_with(|config| config.concurrent_run_limit = 1).await;
    harness.agent(json!({})).await;
    let first = harness.run().await;
    harness.claim().await;
    harness.complete(&first).await;
    let done = harness.get(&format!("/v1/runs/{first}")).await.json();
    let body = json!({ "prompt": "x", "session_id": done["session_id"] });
    let request = || {
        let request = harness.request(Method::POST, "/v1/runs").json(&body);
        async { Answer::read(request.header("Idempotency-Key", "k").send().await.unwrap()).await }
    };
    let answers = futures::future::join_all((0..12).map(|_| request())).await;
    let id = answers[0].json()["id"].clone();
    for answer in answers {
        assert_eq!((answer.status, &answer.json()["id"]), (202, &id));
    }
    // The run is answered in its present state, before the limit and the session are looked at.
    harness.claim().await;
    let again = request().await;
    assert_eq!(
        (&again.json()["id"], &again.json()["status"]),
        (&id, &json!("running"))
    );
}
