//! Agents (API 3).

use serde_json::json;

use crate::harness::Harness;

const FIRST: &str = "4beb66dc3b7b3d4772dcad6e37e0aa78a72810e1376626c430a4e4b8c6b6b43f";

fn body(description: Option<&str>) -> serde_json::Value {
    let mut agent = json!({ "framework": "claude-code" });
    if let Some(description) = description {
        agent["description"] = description.into();
    }
    json!({ "config": { "version": "1.0", "agents": { "My-Agent": agent } }, "message": "m" })
}

#[tokio::test]
async fn composing_creates_updates_and_finds_versions_again() {
    let harness = Harness::start().await;
    let created = harness
        .post("/v1/agents", body(Some("My agent description")))
        .await;
    assert_eq!(
        (created.status, &created.json()["action"]),
        (201, &json!("created"))
    );
    let created = created.json();
    assert_eq!(created["name"], "my-agent");
    assert_eq!(created["current_version_id"], FIRST);
    assert_eq!(created["current_version"]["version_number"], 1);
    assert_eq!(created["current_version"]["created_by"], "ada");
    assert!(created["config"]["agents"]["my-agent"].is_object());
    let updated = harness.post("/v1/agents", body(None)).await;
    assert_eq!(
        (updated.status, &updated.json()["action"]),
        (200, &json!("updated"))
    );
    let existing = harness
        .post("/v1/agents", body(Some("My agent description")))
        .await
        .json();
    assert_eq!(existing["action"], "existing");
    assert_eq!(existing["current_version"]["version_number"], 1);
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        harness.get(&format!("/v1/agents/{id}")).await.json()["action"],
        json!(null)
    );
    let page = harness
        .get(&format!("/v1/agents/{id}/versions?limit=1"))
        .await
        .json();
    assert_eq!(page["data"][0]["version_number"], 2);
    let cursor = page["pagination"]["next_cursor"].as_str().unwrap();
    let page = harness
        .get(&format!("/v1/agents/{id}/versions?cursor={cursor}"))
        .await
        .json();
    assert_eq!(page["data"][0]["id"], FIRST);
    assert_eq!(
        page["pagination"],
        json!({ "has_more": false, "next_cursor": null })
    );
    let list = harness.get("/v1/agents?name=MY-AGENT").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_bad_configuration_names_its_field() {
    let harness = Harness::start().await;
    let put = |config| harness.post("/v1/agents", json!({ "config": config }));
    harness
        .post("/v1/agents", json!({}))
        .await
        .error(400, "invalid_parameter", Some("config"));
    let config = json!({ "version": "1.0", "agents": { "abc": { "framework": "nope" } } });
    let param = Some("config.agents.abc.framework");
    put(config).await.error(400, "invalid_parameter", param);
    let config = json!({ "version": "1.0", "agents": { "abc": { "skills": ["skills/x"] } } });
    let answer = put(config).await;
    let message = answer.error(
        400,
        "invalid_parameter",
        answer.json()["error"]["param"].as_str(),
    );
    assert!(
        message.contains("instructions and skills need a bundle"),
        "{message}"
    );
    let config = json!({ "version": "1.0", "agents": { "abc": { "bundle": "0".repeat(64) } } });
    put(config)
        .await
        .error(400, "invalid_parameter", Some("config.agents.abc.bundle"));
    let long = json!({ "config": {}, "message": "x".repeat(1001) });
    harness
        .post("/v1/agents", long)
        .await
        .error(400, "invalid_parameter", Some("message"));
}

#[tokio::test]
async fn an_agent_is_changed_by_its_id_under_its_name_only() {
    let harness = Harness::start().await;
    let created = harness.post("/v1/agents", body(None)).await.json();
    let path = format!("/v1/agents/{}", created["id"].as_str().unwrap());
    let updated = harness.put(&path, body(Some("My agent description"))).await;
    assert_eq!(
        (updated.status, &updated.json()["action"]),
        (200, &json!("updated"))
    );
    assert_eq!(updated.json()["current_version_id"], FIRST);
    let existing = harness.put(&path, body(None)).await.json();
    assert_eq!(existing["action"], "existing");
    assert_eq!(existing["id"], created["id"]);
    assert_eq!(existing["current_version"], created["current_version"]);
    let mut other = body(None);
    other["config"] =
        json!({ "version": "1.0", "agents": { "other": { "framework": "claude-code" } } });
    harness
        .put(&path, other)
        .await
        .error(400, "invalid_parameter", Some("config"));
    let unknown = "/v1/agents/019bc134-7840-7cba-a551-2100f80b56fc";
    let message = harness
        .put(unknown, body(None))
        .await
        .error(404, "resource_not_found", None);
    assert!(message.starts_with("No such agent: '"), "{message}");
    harness
        .put(unknown, json!({}))
        .await
        .error(400, "invalid_parameter", Some("config"));
    let versions = harness.get(&format!("{path}/versions")).await.json();
    let shown = |n: usize| {
        let item = &versions["data"][n];
        let description = &item["config"]["agents"]["my-agent"]["description"];
        (
            item["version_number"].clone(),
            item["message"].clone(),
            description.clone(),
        )
    };
    assert_eq!(
        shown(0),
        (json!(2), json!("m"), json!("My agent description"))
    );
    assert_eq!(shown(1), (json!(1), json!("m"), json!(null)));
}

#[tokio::test]
async fn a_deleted_agent_frees_its_name_and_leaves_what_its_runs_made() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let id = agent["id"].as_str().unwrap();
    let path = format!("/v1/agents/{id}");
    let run = harness.run().await;
    let busy = harness.delete(&path).await;
    busy.error(409, "agent_has_active_runs", None);
    harness.claim().await;
    harness
        .delete(&path)
        .await
        .error(409, "agent_has_active_runs", None);
    harness.complete(&run).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    let deleted = harness.delete(&path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    harness
        .delete(&path)
        .await
        .error(404, "resource_not_found", None);
    for path in [path.clone(), format!("{path}/versions")] {
        harness
            .get(&path)
            .await
            .error(404, "resource_not_found", None);
    }
    assert_eq!(harness.get("/v1/agents").await.json()["data"], json!([]));
    let session = done["session_id"].as_str().unwrap();
    let checkpoint = done["checkpoint_id"].as_str().unwrap();
    for path in [
        format!("/v1/runs/{run}"),
        format!("/v1/sessions/{session}"),
        format!("/v1/checkpoints/{checkpoint}"),
    ] {
        let found = harness.get(&path).await.json();
        assert_eq!(
            (&found["agent_id"], &found["agent_name"]),
            (&json!(id), &json!("demo")),
            "{path}"
        );
    }
    let listed = harness.get(&format!("/v1/runs?agent_id={id}")).await.json();
    assert_eq!(listed["data"][0]["id"], run);
    let listed = harness
        .get(&format!("/v1/sessions?agent_id={id}"))
        .await
        .json();
    assert_eq!(listed["data"][0]["id"], session);
    // An agent of the same name is another agent.
    assert_eq!(harness.agent(json!({})).await["action"], "created");
    for (field, value, kind) in [
        ("session_id", session, "session"),
        ("checkpoint_id", checkpoint, "checkpoint"),
    ] {
        let body = json!({ "prompt": "x", field: value });
        let message =
            harness
                .post("/v1/runs", body)
                .await
                .error(404, "resource_not_found", Some(field));
        assert_eq!(
            message,
            format!("Agent for {kind} not found or has no versions")
        );
    }
}
