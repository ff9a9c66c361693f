//! The runner API.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::Harness;

#[tokio::test]
async fn a_waiting_claim_gets_a_run_at_once_with_its_values_expanded() {
    let harness = Harness::start().await;
    let env = json!({ "A": "${{ vars.A }}-x", "B": "${{ secrets.B }}" });
    harness.agent(json!({ "environment": env })).await;
    let post = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        let body = json!({
            "prompt": "p", "agent": "demo", "variables": { "A": "a" }, "secrets": { "B": "hush-hush" },
        });
        assert_eq!(harness.post("/v1/runs", body).await.status, 202);
        began
    };
    let claim = async { (harness.claim().await, Instant::now()) };
    let ((claim, ended), began) = tokio::join!(claim, post);
    assert!(ended - began < Duration::from_secs(2));
    assert_eq!(claim["lease"]["epoch"], 1);
    assert_eq!(
        claim["spec"]["environment"],
        json!({ "A": "a-x", "B": "hush-hush" })
    );
    assert_eq!(claim["spec"]["secrets"], json!({ "B": "hush-hush" }));
    let run = claim["spec"]["run_id"].as_str().unwrap();
    assert_eq!(
        harness.get(&format!("/v1/runs/{run}")).await.json()["status"],
        "running"
    );
    let database = std::fs::read(harness.directory.path().join("data/vm0.db-wal")).unwrap();
    assert!(!database.windows(9).any(|window| window == b"hush-hush"));
}

#[tokio::test]
async fn a_brokered_secret_is_a_placeholder_in_the_environment_new_for_each_run() {
    let harness = Harness::start().await;
    let env = json!({ "K": "<${{ secrets.GH_TOKEN }}>", "E": "${{ secrets.OPENAI_API_KEY }}" });
    let secrets = json!({ "OPENAI_API_KEY": { "expose": true } });
    harness
        .agent(json!({ "environment": env, "secrets": secrets }))
        .await;
    let given = json!({ "GH_TOKEN": "hush-hush", "OPENAI_API_KEY": "shown" });
    let body = json!({ "prompt": "p", "agent": "demo", "secrets": given });
    let mut placeholders = Vec::new();
    for _ in 0..2 {
        assert_eq!(harness.post("/v1/runs", body.clone()).await.status, 202);
        let spec = harness.claim().await["spec"].clone();
        let placeholder = spec["placeholders"]["GH_TOKEN"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(placeholder.starts_with("ghp_vm0_enc_"), "{placeholder}");
        assert_eq!(
            spec["environment"],
            json!({ "K": format!("<{placeholder}>"), "E": "shown" })
        );
        assert_eq!(spec["placeholders"].as_object().unwrap().len(), 1);
        assert_eq!(spec["secrets"], given);
        placeholders.push(placeholder);
    }
    assert_ne!(placeholders[0], placeholders[1]);
}

#[tokio::test]
async fn every_write_with_a_stale_epoch_is_refused() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let manifest = "0".repeat(64);
    for (call, body) in [
        ("renew", json!({})),
        ("watch", json!({})),
        (
            "started",
            json!({ "sandbox": "fake", "sandbox_ready_ms": 1 }),
        ),
        ("events", json!({ "offset": 0, "events": [] })),
        ("logs", json!({ "offset": 0, "entries": [] })),
        ("metrics", json!({ "offset": 0, "samples": [] })),
        ("finish", json!({ "status": "failed", "error": "x" })),
    ] {
        let mut body = body;
        body["epoch"] = json!(2);
        harness
            .runner(&format!("/runs/{run}/{call}"), body)
            .await
            .error(409, "stale_epoch", Some("epoch"));
    }
    let put = format!("/runs/{run}/manifests/{manifest}?epoch=2");
    harness
        .runner_put(&put, vec![])
        .await
        .error(409, "stale_epoch", Some("epoch"));
}

#[tokio::test]
async fn a_cancel_reaches_the_watching_runner_at_once_and_ends_the_recording() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let path = format!("/runs/{run}/watch");
    let watch = async {
        (
            harness.runner(&path, json!({ "epoch": 1 })).await,
            Instant::now(),
        )
    };
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        harness
            .post(&format!("/v1/runs/{run}/cancel"), json!({}))
            .await;
        began
    };
    let ((answer, ended), began) = tokio::join!(watch, cancel);
    assert_eq!(answer.json()["status"], "cancelled");
    assert!(ended - began < Duration::from_secs(2));
    let appended = harness.append(&run, 0, &["late"]).await.json();
    assert_eq!(appended["status"], "cancelled");
    let stream = harness.get(&format!("/v1/runs/{run}/events")).await.text;
    assert!(!stream.contains("late"));
    assert_eq!(harness.complete(&run).await.json()["status"], "cancelled");
}

#[tokio::test]
async fn a_completed_run_leaves_a_session_that_runs_one_at_a_time() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    harness.complete(&run).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("completed"), &json!("done"))
    );
    let session = done["session_id"].as_str().unwrap();
    let body = json!({ "prompt": "again", "session_id": session });
    let next = harness.post("/v1/runs", body.clone()).await.json();
    assert_eq!(next["session_id"], session);
    harness
        .post("/v1/runs", body)
        .await
        .error(409, "session_busy", Some("session_id"));
    let claim = harness.claim().await;
    assert_eq!(claim["spec"]["conversation"]["agent_session_id"], "s");
    let id = next["id"].as_str().unwrap().to_owned();
    assert_eq!(harness.complete(&id).await.json()["status"], "completed");
    let checkpoint = done["checkpoint_id"].as_str().unwrap();
    let body = json!({ "prompt": "back", "checkpoint_id": checkpoint });
    assert_eq!(
        harness.post("/v1/runs", body).await.json()["session_id"],
        json!(null)
    );
    let config = json!({ "version": "1.0", "agents": { "demo": { "framework": "codex" } } });
    harness
        .post("/v1/agents", json!({ "config": config }))
        .await;
    let body = json!({ "prompt": "x", "session_id": session });
    harness
        .post("/v1/runs", body)
        .await
        .error(400, "invalid_state", Some("session_id"));
}

#[tokio::test]
async fn an_object_is_stored_only_if_its_bytes_are_those_of_its_id() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let bytes = b"hello\n".to_vec();
    let id = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let put = |id: &str| format!("/runs/{run}/packs/{id}?epoch=1");
    harness
        .runner_put(&put(&"0".repeat(64)), bytes.clone())
        .await
        .error(400, "invalid_parameter", Some("body"));
    assert_eq!(harness.runner_put(&put(id), bytes).await.status, 204);
    let url = format!("{}/api/runner/v1/packs/{id}", harness.server.url());
    let get = harness
        .http
        .get(&url)
        .bearer_auth(&harness.runner_token)
        .header("Range", "bytes=1-3");
    let answer = crate::harness::Answer::read(get.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.text.as_str()), (206, "ell"));
    assert_eq!(answer.header("content-range"), Some("bytes 1-3/6"));
}
