//! Every error code, produced: a new code does not compile here before a request answers it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use vm0_model::ErrorCode;

use crate::harness::{Answer, Harness};
use crate::storages::{archive, hello, upload, volume};

const UNKNOWN: &str = "019bc134-7840-7cba-a551-2100f80b56fc";

/// An answer with this code.
#[expect(clippy::too_many_lines, reason = "an arm for each code")]
async fn produce(code: ErrorCode, harness: &Harness) -> Answer {
    match code {
        ErrorCode::InvalidParameter => harness.get("/v1/runs?limit=0").await,
        ErrorCode::MissingParameter => harness.post("/v1/runs", json!({ "prompt": "x" })).await,
        ErrorCode::InvalidState => {
            let cancel = format!("/v1/runs/{}/cancel", harness.run().await);
            harness.post(&cancel, json!({})).await;
            harness.post(&cancel, json!({})).await
        }
        ErrorCode::UploadIncomplete => {
            let volume = volume(harness, "incomplete").await;
            let session = harness
                .post(&format!("{volume}/upload"), json!({ "files": hello() }))
                .await;
            commit(harness, &volume, &session.json()["upload_session_id"]).await
        }
        ErrorCode::UploadInvalid => {
            let volume = volume(harness, "invalid").await;
            let session = upload(harness, &volume, &hello(), b"no archive".to_vec()).await;
            commit(harness, &volume, &session).await
        }
        ErrorCode::InvalidApiKey => {
            let url = format!("{}/v1/runs", harness.server.url());
            read(harness.http.get(url)).await
        }
        ErrorCode::InvalidSignature => {
            let url = archive_url(harness, "signed").await;
            read(harness.http.get(url.replace("signature=", "signature=0"))).await
        }
        ErrorCode::ResourceNotFound => harness.get(&format!("/v1/runs/{UNKNOWN}")).await,
        ErrorCode::MethodNotAllowed => harness.delete("/v1/runs").await,
        ErrorCode::ResourceAlreadyExists => {
            volume(harness, "twice").await;
            harness
                .post("/v1/volumes", json!({ "name": "twice" }))
                .await
        }
        ErrorCode::AgentHasActiveRuns => {
            let agent = harness.agent(json!({})).await;
            harness.run().await;
            let id = agent["id"].as_str().unwrap();
            harness.delete(&format!("/v1/agents/{id}")).await
        }
        ErrorCode::SessionBusy => busy_session(harness).await,
        ErrorCode::IdempotencyKeyReused => {
            keyed(harness, "x").await;
            keyed(harness, "y").await
        }
        ErrorCode::VersionConflict => {
            let volume = volume(harness, "moved").await;
            let session = upload(harness, &volume, &hello(), hello_archive()).await;
            let body =
                json!({ "upload_session_id": session, "expected_version_id": "0".repeat(64) });
            harness.post(&format!("{volume}/commit"), body).await
        }
        ErrorCode::PayloadTooLarge => {
            let name = "x".repeat(vm0_model::limits::JSON_BODY_MAX_BYTES + 1);
            harness.post("/v1/volumes", json!({ "name": name })).await
        }
        ErrorCode::ConcurrentRunLimitExceeded => {
            let limited = Harness::start_with(|config| config.concurrent_run_limit = 1).await;
            limited.agent(json!({})).await;
            limited.run().await;
            let body = json!({ "agent": "demo", "prompt": "x" });
            limited.post("/v1/runs", body).await
        }
        ErrorCode::RateLimitExceeded => {
            let limited = Harness::start_with(|config| config.auth_failures_max = 0).await;
            let url = format!("{}/v1/runs", limited.server.url());
            read(limited.http.get(url).bearer_auth("vm0_live_guess")).await
        }
        ErrorCode::InternalError => {
            let url = archive_url(harness, "lost").await;
            let manifests = harness.directory.path().join("data/objects/manifests");
            std::fs::remove_dir_all(manifests).unwrap();
            read(harness.http.get(url)).await
        }
        ErrorCode::ServiceUnavailable => {
            harness.server.stop_accepting();
            harness.get("/v1/runs").await
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await
}

async fn commit(harness: &Harness, volume: &str, session: &Value) -> Answer {
    let body = json!({ "upload_session_id": session });
    harness.post(&format!("{volume}/commit"), body).await
}

fn hello_archive() -> Vec<u8> {
    archive(&[("a.txt", b"hello\n")])
}

/// The signed URL of a version of a new volume.
async fn archive_url(harness: &Harness, name: &str) -> String {
    let volume = volume(harness, name).await;
    let session = upload(harness, &volume, &hello(), hello_archive()).await;
    assert_eq!(commit(harness, &volume, &session).await.status, 200);
    let redirect = harness.get(&format!("{volume}/download")).await;
    redirect.header("location").unwrap().to_owned()
}

async fn busy_session(harness: &Harness) -> Answer {
    let run = harness.run().await;
    while harness.claim().await["spec"]["run_id"] != run.as_str() {}
    harness.complete(&run).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    let body = json!({ "prompt": "again", "session_id": done["session_id"] });
    harness.post("/v1/runs", body.clone()).await;
    harness.post("/v1/runs", body).await
}

async fn keyed(harness: &Harness, prompt: &str) -> Answer {
    let request = harness.request(Method::POST, "/v1/runs");
    let request = request.header("Idempotency-Key", "k");
    read(request.json(&json!({ "agent": "demo", "prompt": prompt }))).await
}

#[tokio::test]
async fn every_error_code_is_answered_with_its_status_and_type() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let mut seen = BTreeSet::new();
    for &code in ErrorCode::ALL {
        let answer = produce(code, &harness).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"], &error["type"]),
            (code.status(), &json!(code.as_str()), &json!(code.kind())),
            "{answer:?}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty(), "{answer:?}");
        seen.insert(code.as_str());
    }
    assert_eq!(seen.len(), ErrorCode::ALL.len());
}
