//! Sessions and checkpoints (API 10).

use serde_json::{Value, json};

use crate::harness::Harness;

/// Claims and completes the pending run `id`; the run after that.
async fn completed(harness: &Harness, id: &str) -> Value {
    harness.claim().await;
    assert_eq!(harness.complete(id).await.json()["status"], "completed");
    harness.get(&format!("/v1/runs/{id}")).await.json()
}

#[tokio::test]
async fn a_session_shows_its_last_run_and_the_active_one() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let first = completed(&harness, &harness.run().await).await;
    let id = first["session_id"].as_str().unwrap();
    let path = format!("/v1/sessions/{id}");
    let session = harness.get(&path).await.json();
    let expected = json!({
        "id": id, "agent_id": agent["id"], "agent_name": "demo", "artifact_name": null,
        "last_run_id": first["id"], "last_checkpoint_id": first["checkpoint_id"],
        "active_run_id": null, "created_at": first["completed_at"],
        "updated_at": first["completed_at"],
    });
    assert_eq!(session, expected);
    let body = json!({ "prompt": "x", "session_id": id, "artifact_name": "out" });
    let second = harness.post("/v1/runs", body).await.json();
    assert_eq!(
        harness.get(&path).await.json()["active_run_id"],
        second["id"]
    );
    let second = completed(&harness, second["id"].as_str().unwrap()).await;
    let mut expected = expected;
    expected["artifact_name"] = json!("out");
    expected["last_run_id"] = second["id"].clone();
    expected["last_checkpoint_id"] = second["checkpoint_id"].clone();
    expected["updated_at"] = second["completed_at"].clone();
    assert_eq!(harness.get(&path).await.json(), expected);
}

#[tokio::test]
async fn sessions_are_listed_by_agent_and_in_pages() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let run = completed(&harness, &harness.run().await).await;
        made.push(run["session_id"].as_str().unwrap().to_owned());
    }
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = harness
            .get(&format!("/v1/sessions?limit=2&cursor={cursor}"))
            .await
            .json();
        for session in page["data"].as_array().unwrap() {
            seen.push(session["id"].as_str().unwrap().to_owned());
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, made);
    let id = agent["id"].as_str().unwrap();
    let upper = id.to_uppercase();
    for (query, count) in [
        (id, 3),
        ("x", 0),
        (upper.as_str(), 0),
        ("019bc134-7840-7cba-a551-2100f80b56fc", 0),
    ] {
        let page = harness.get(&format!("/v1/sessions?agent_id={query}")).await;
        let page = page.json();
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
    harness
        .get("/v1/sessions?cursor=abc123")
        .await
        .error(400, "invalid_parameter", Some("cursor"));
}

#[tokio::test]
async fn a_checkpoint_has_the_end_state_of_its_run_and_no_secret_value() {
    let harness = Harness::start().await;
    let env = json!({ "A": "${{ vars.A }}", "B": "${{ secrets.B }}", "C": "${{ secrets.A }}" });
    let agent = harness.agent(json!({ "environment": env })).await;
    let body = json!({
        "prompt": "x", "agent": "demo", "artifact_name": "out", "variables": { "A": "a" },
        "secrets": { "B": "hush-hush", "A": "hush-too" },
    });
    let run = harness.post("/v1/runs", body).await.json();
    let run = run["id"].as_str().unwrap();
    harness.claim().await;
    let saved = harness.workspace(run, "target").await;
    harness.complete_with(run, Some(saved)).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    let id = done["checkpoint_id"].as_str().unwrap();
    let answer = harness.get(&format!("/v1/checkpoints/{id}")).await;
    assert!(!answer.text.contains("hush"));
    let expected = json!({
        "id": id, "run_id": run, "session_id": done["session_id"], "agent_id": agent["id"],
        "agent_name": "demo", "agent_version": agent["current_version_id"],
        "variables": { "A": "a" }, "secret_names": ["A", "B"], "artifact_name": "out",
        "artifact_version": done["artifact_version"], "volumes": {},
        "created_at": done["completed_at"],
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(done["artifact_version"].as_str().unwrap().len(), 64);
    let versions = harness.get("/v1/artifacts?name=out").await.json();
    let artifact = versions["data"][0]["id"].as_str().unwrap();
    let head = harness
        .get(&format!("/v1/artifacts/{artifact}"))
        .await
        .json();
    let version = &head["current_version"];
    assert_eq!(version["id"], done["artifact_version"]);
    assert_eq!(version["message"], format!("Run {run}"));
    assert_eq!(
        (
            &version["created_by"],
            &version["run_id"],
            &version["salvaged"]
        ),
        (&json!("run"), &json!(run), &json!(false))
    );
    for (path, kind) in [("sessions", "session"), ("checkpoints", "checkpoint")] {
        let message =
            harness
                .get(&format!("/v1/{path}/{run}"))
                .await
                .error(404, "resource_not_found", None);
        assert_eq!(message, format!("No such {kind}: '{run}'"));
    }
}
