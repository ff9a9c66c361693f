//! Instructions and skills: the bundle that pins them, and the form of the file that names them.

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::storages;

fn config(bundle: Option<&str>) -> Value {
    let mut agent = json!({ "framework": "shell", "skills": ["skills/a"] });
    if let Some(bundle) = bundle {
        agent["bundle"] = bundle.into();
    }
    json!({ "config": { "version": "1.0", "agents": { "demo": agent } } })
}

/// A version of a new volume of this name: its id.
async fn pushed(harness: &Harness, name: &str) -> String {
    let volume = storages::volume(harness, name).await;
    let files = storages::archive(&[("a.txt", b"hello\n")]);
    let session = storages::upload(harness, &volume, &storages::hello(), files).await;
    let body = json!({ "upload_session_id": session });
    let commit = harness.post(&format!("{volume}/commit"), body).await;
    assert_eq!(commit.status, 200, "{commit:?}");
    commit.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_bundle_must_be_a_version_of_the_users_own_volume() {
    let harness = Harness::start().await;
    let put = |bundle: Option<String>| {
        let body = config(bundle.as_deref());
        async { harness.post("/v1/agents", body).await }
    };
    let none = put(None).await;
    let text = none.error(400, "invalid_parameter", Some("config.agents.demo.skills"));
    assert_eq!(
        text,
        "agents.demo.skills: instructions and skills need a bundle; run vm0 compose"
    );
    let param = Some("config.agents.demo.bundle");
    let unknown = put(Some("0".repeat(64))).await;
    unknown.error(400, "invalid_parameter", param);
    let other_volume = pushed(&harness, "books").await;
    put(Some(other_volume))
        .await
        .error(400, "invalid_parameter", param);
    let bundle = pushed(&harness, "agent-bundles").await;
    let prefix = put(Some(bundle[..8].to_owned())).await;
    prefix.error(400, "invalid_parameter", param);
    assert_eq!(put(Some(bundle.clone())).await.status, 201);
    assert_eq!(put(Some(bundle.to_uppercase())).await.status, 200);
    let url = format!("{}/v1/agents", harness.server.url());
    let body = config(Some(&bundle));
    let stranger = harness.http.post(url).bearer_auth(&harness.other_token);
    let answer = stranger.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 400, "a bundle of somebody else");
}

#[tokio::test]
async fn a_claimed_run_brings_its_bundle_or_ends_when_that_is_gone() {
    let harness = Harness::start().await;
    let bundle = pushed(&harness, "agent-bundles").await;
    let made = harness.post("/v1/agents", config(Some(&bundle))).await;
    assert_eq!(made.status, 201);
    let run = json!({ "agent": "demo", "prompt": "x" });
    harness.post("/v1/runs", run.clone()).await;
    let claim = harness.claim().await;
    assert_eq!(claim["spec"]["bundle"]["version_id"], bundle, "{claim}");
    assert!(claim["spec"]["bundle"]["manifest_id"].is_string());
    let volumes = harness.get("/v1/volumes?name=agent-bundles").await.json();
    let volume = volumes["data"][0]["id"].as_str().unwrap();
    let gone = harness.delete(&format!("/v1/volumes/{volume}")).await;
    assert_eq!(gone.status, 204);
    let run = harness.post("/v1/runs", run).await.json();
    // A run that can be executed follows, so that the claim does not wait.
    harness.agent(json!({})).await;
    harness.run().await;
    harness.claim().await;
    let ended = harness
        .get(&format!("/v1/runs/{}", run["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (
            &json!("failed"),
            &json!(
                "[prepare] the agent's bundle of instructions and skills is gone; run: vm0 compose"
            )
        )
    );
}

#[tokio::test]
async fn the_form_of_the_agent_file_is_public_and_kept_by_caches() {
    let harness = Harness::start().await;
    let url = format!("{}/schema/vm0.yaml.json", harness.server.url());
    let answer = harness.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/schema+json");
    assert_eq!(header("cache-control"), "public, max-age=3600");
    let schema: Value = answer.json().await.unwrap();
    assert_eq!(schema["title"], "vm0.yaml");
    let checked_in = include_str!("../../../../schema/vm0.yaml.json");
    assert_eq!(schema, serde_json::from_str::<Value>(checked_in).unwrap());
}
