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
