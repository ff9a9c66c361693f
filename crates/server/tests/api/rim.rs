//! What holds for every endpoint, by enumeration of the router.

use reqwest::Method;
use serde_json::json;
use vm0_server::{Endpoint, endpoints};

use crate::harness::{Answer, Harness};

const SOME_ID: &str = "019bc134-7840-7cba-a551-2100f80b56fc";

fn path(endpoint: &Endpoint, id: &str) -> String {
    endpoint
        .path
        .replace("{id}", id)
        .replace("{name}", id)
        .replace("{object}", &"0".repeat(64))
}

/// What needs no token: it is for everybody, gives one, or is signed or known by a cookie.
const OPEN: &[(&str, &str)] = &[
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/schema/vm0.yaml.json"),
    ("PUT", "/objects/uploads/{session}/{object}"),
    (
        "GET",
        "/objects/archives/{storage}/{version}/{manifest}/{file_name}",
    ),
    ("POST", "/api/cli/auth/device"),
    ("POST", "/api/cli/auth/token"),
    ("GET", "/"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-in/{link}"),
    ("POST", "/sign-in/{link}"),
    ("POST", "/sign-in-link"),
    ("POST", "/sign-out"),
    ("GET", "/device"),
    ("POST", "/device"),
];

fn is_open(endpoint: &Endpoint) -> bool {
    OPEN.contains(&(endpoint.method.as_str(), endpoint.path))
}

#[test]
fn every_endpoint_that_needs_no_token_is_known() {
    let unguarded = endpoints().into_iter().filter(is_open).count();
    assert_eq!(unguarded, OPEN.len());
    for endpoint in endpoints().iter().filter(|endpoint| !is_open(endpoint)) {
        let path = endpoint.path;
        assert!(
            path.starts_with("/v1/") || path.starts_with("/api/runner/v1/"),
            "{path}"
        );
    }
}

fn guarded() -> impl Iterator<Item = Endpoint> {
    endpoints()
        .into_iter()
        .filter(|endpoint| !is_open(endpoint))
}

#[tokio::test]
async fn every_endpoint_wants_a_token_of_its_own_kind() {
    let harness = Harness::start().await;
    for endpoint in guarded() {
        let public = endpoint.path.starts_with("/v1/");
        let wrong = if public {
            &harness.runner_token
        } else {
            &harness.token
        };
        for header in [
            None,
            Some(format!("Bearer {wrong}")),
            Some("Basic x".to_owned()),
            Some(format!("bearer {}", harness.token)),
            Some(format!("Bearer  {}", harness.token)),
        ] {
            let url = format!("{}{}", harness.server.url(), path(&endpoint, SOME_ID));
            let mut request = harness.http.request(endpoint.method.clone(), url);
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            let answer = Answer::read(request.send().await.unwrap()).await;
            answer.error(401, "invalid_api_key", None);
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer"),
                "{endpoint:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_has_a_fresh_request_id_and_the_version() {
    let harness = Harness::start().await;
    let mut ids = std::collections::HashSet::new();
    for endpoint in endpoints()
        .into_iter()
        .filter(|endpoint| endpoint.method == Method::GET)
    {
        let answer = harness.get(&path(&endpoint, SOME_ID)).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(id.len() == 36 && id.starts_with("req_"), "{id}");
        assert_eq!(answer.header("x-api-version"), Some("v1"));
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn an_empty_segment_is_an_unknown_id() {
    let harness = Harness::start().await;
    for endpoint in endpoints() {
        let is_get = endpoint.method == Method::GET && endpoint.path.starts_with("/v1/");
        if is_get && endpoint.path.contains('{') {
            let answer = harness.get(&path(&endpoint, "")).await;
            let kind = endpoint
                .path
                .split('/')
                .nth(2)
                .unwrap()
                .trim_end_matches('s');
            let message = answer.error(404, "resource_not_found", None);
            assert_eq!(message, format!("No such {kind}: ''"), "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn what_belongs_to_another_user_is_unknown() {
    let mut harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let volume = harness
        .post("/v1/volumes", json!({ "name": "in" }))
        .await
        .json();
    let artifact = harness
        .post("/v1/artifacts", json!({ "name": "out" }))
        .await
        .json();
    let run = harness.run().await;
    for kind in ["secrets", "variables"] {
        let path = format!("/v1/{kind}/KEY");
        harness.put(&path, json!({ "value": "hers" })).await;
    }
    let tokens = harness.get("/v1/tokens").await.json();
    let body = json!({ "agent": "demo", "cron": "@daily", "prompt": "x" });
    let schedule = harness.post("/v1/schedules", body).await.json();
    harness.claim().await;
    harness.complete(&run).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    harness.token = harness.other_token.clone();
    // A PUT of a name makes a thing of one's own.
    let names_things =
        |e: &Endpoint| e.path.contains("{id}") || (e.path.contains("{name}") && e.method != "PUT");
    for endpoint in guarded().filter(|e| e.path.starts_with("/v1/") && names_things(e)) {
        let id = match endpoint.path.split('/').nth(2) {
            Some("agents") => agent["id"].as_str().unwrap(),
            Some("volumes") => volume["id"].as_str().unwrap(),
            Some("artifacts") => artifact["id"].as_str().unwrap(),
            Some("tokens") => tokens["data"][0]["id"].as_str().unwrap(),
            Some("secrets" | "variables") => "KEY",
            Some("schedules") => schedule["id"].as_str().unwrap(),
            Some("sessions") => done["session_id"].as_str().unwrap(),
            Some("checkpoints") => done["checkpoint_id"].as_str().unwrap(),
            _ => &run,
        };
        let config = json!({ "version": "1.0", "agents": { "demo": { "framework": "shell" } } });
        let body = json!({ "files": [], "upload_session_id": "existing:x", "config": config });
        let request = harness
            .request(endpoint.method.clone(), &path(&endpoint, id))
            .json(&body);
        let answer = Answer::read(request.send().await.unwrap()).await;
        answer.error(404, "resource_not_found", None);
    }
    for list in [
        "/v1/agents",
        "/v1/runs",
        "/v1/volumes",
        "/v1/artifacts",
        "/v1/secrets",
        "/v1/variables",
        "/v1/sessions",
        "/v1/schedules",
    ] {
        let expected =
            json!({ "data": [], "pagination": { "has_more": false, "next_cursor": null } });
        assert_eq!(harness.get(list).await.json(), expected);
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_told_apart() {
    let harness = Harness::start().await;
    let message = harness
        .get("/v1/nothing")
        .await
        .error(404, "resource_not_found", None);
    assert_eq!(message, "No such route: 'GET /v1/nothing'");
    let answer = harness
        .request(Method::DELETE, "/v1/runs")
        .send()
        .await
        .unwrap();
    let answer = Answer::read(answer).await;
    answer.error(405, "method_not_allowed", None);
    let mut allow: Vec<_> = answer
        .header("allow")
        .unwrap()
        .split(',')
        .map(str::trim)
        .collect();
    allow.sort_unstable();
    assert_eq!(allow, ["GET", "HEAD", "POST"]);
    let head = harness
        .request(Method::HEAD, "/v1/runs")
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn bodies_are_checked_for_size_type_and_form_in_this_order() {
    let harness = Harness::start().await;
    let post = |body: Vec<u8>, content_type: Option<&'static str>| {
        let mut request = harness.request(Method::POST, "/v1/volumes").body(body);
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        async move { Answer::read(request.send().await.unwrap()).await }
    };
    post(vec![b' '; (1 << 20) + 1], None)
        .await
        .error(413, "payload_too_large", Some("body"));
    post(b"{}".to_vec(), None)
        .await
        .error(400, "invalid_parameter", Some("Content-Type"));
    post(b"{}".to_vec(), Some("text/plain")).await.error(
        400,
        "invalid_parameter",
        Some("Content-Type"),
    );
    for body in [&b"{"[..], b"\xff", b"[]", b"", &b"[".repeat(200_000)] {
        let answer = post(body.to_vec(), Some("application/json")).await;
        answer.error(400, "invalid_parameter", Some("body"));
    }
    let answer = post(
        br#"{"name":"ok","x":1}"#.to_vec(),
        Some("Application/JSON; charset=utf-8"),
    )
    .await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_stopping_server_refuses_callers_but_not_its_runners() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    harness.server.stop_accepting();
    let answer = harness.get("/v1/runs").await;
    answer.error(503, "service_unavailable", None);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(harness.complete(&run).await.json()["status"], "completed");
    let claim = harness
        .runner("/claim", json!({ "runner": "r", "sandbox": "fake" }))
        .await;
    claim.error(503, "service_unavailable", None);
    harness.server.stop().await;
}

#[tokio::test]
async fn health_needs_no_token() {
    let harness = Harness::start().await;
    let answer = harness
        .http
        .get(format!("{}/health", harness.server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(Answer::read(answer).await.json(), json!({ "status": "ok" }));
}
