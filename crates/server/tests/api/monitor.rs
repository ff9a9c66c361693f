//! The metrics of the server (API 13).

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Harness};

async fn metrics(harness: &Harness) -> String {
    let url = format!("{}/metrics", harness.server.url());
    let answer = Answer::read(harness.http.get(url).send().await.unwrap()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    answer.text
}

/// The value of a series.
fn value(text: &str, series: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(series));
    let found = found.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    found.trim().parse().unwrap()
}

#[tokio::test]
async fn a_forwarded_request_for_metrics_needs_a_token() {
    let harness = Harness::start().await;
    let url = format!("{}/metrics", harness.server.url());
    for header in ["Forwarded", "X-Forwarded-For"] {
        let forwarded = || harness.http.get(&url).header(header, "127.0.0.1");
        let answer = Answer::read(forwarded().send().await.unwrap()).await;
        answer.error(401, "invalid_api_key", None);
        let wrong = forwarded().bearer_auth(&harness.runner_token);
        let answer = Answer::read(wrong.send().await.unwrap()).await;
        answer.error(401, "invalid_api_key", None);
        let right = forwarded().bearer_auth(&harness.token);
        assert_eq!(right.send().await.unwrap().status(), 200);
    }
    metrics(&harness).await;
}

#[tokio::test]
async fn runs_are_counted_by_state_and_outcome() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let first = harness.run().await;
    harness.run().await;
    harness.claim().await;
    harness.append(&first, 0, &["a", "b"]).await;
    // A batch that is sent again adds nothing.
    harness.append(&first, 0, &["a", "b", "c"]).await;
    let text = metrics(&harness).await;
    assert_eq!(value(&text, "vm0_runs{status=\"pending\"}"), 1.0);
    assert_eq!(value(&text, "vm0_runs{status=\"running\"}"), 1.0);
    assert_eq!(value(&text, "vm0_events_appended_total"), 3.0);
    assert_eq!(value(&text, "vm0_run_queue_wait_seconds_count"), 1.0);
    assert_eq!(
        value(&text, "vm0_runs_ended_total{status=\"completed\"}"),
        0.0
    );
    harness.complete(&first).await;
    harness.complete(&first).await;
    let text = metrics(&harness).await;
    assert_eq!(value(&text, "vm0_runs{status=\"running\"}"), 0.0);
    assert_eq!(
        value(&text, "vm0_runs_ended_total{status=\"completed\"}"),
        1.0
    );
    assert!(value(&text, "vm0_objects") >= 0.0);
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
}

#[tokio::test]
async fn decisions_of_gateways_are_counted_once() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let run = harness.run().await;
    harness.claim().await;
    let line = |level: &str, metadata: serde_json::Value| {
        json!({ "timestamp": "2026-01-15T10:30:00.000Z", "type": "network", "level": level,
                "message": "x", "metadata": metadata.to_string() })
    };
    let lines = [
        line("info", json!({ "mode": "SNI", "action": "ALLOW" })),
        line("info", json!({ "mode": "SNI", "action": "CLOSE" })),
        line("warn", json!({ "mode": "DNS", "action": "DENY" })),
        line("error", json!({ "method": "GET", "status": 500 })),
        line("warn", json!({ "method": "GET", "status": 403 })),
        line("warn", json!({ "method": "SNI", "status": 403 })),
        line("info", json!({ "mode": "other", "action": "ALLOW" })),
    ];
    for count in [5, 7] {
        let body = json!({ "epoch": 1, "offset": 0, "entries": lines[..count] });
        let answer = harness.runner(&format!("/runs/{run}/logs"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let text = metrics(&harness).await;
    for (action, mode, count) in [
        ("allow", "sni", 1.0),
        ("deny", "dns", 1.0),
        ("allow", "http", 1.0),
        ("deny", "http", 2.0),
        ("allow", "tcp", 0.0),
    ] {
        let series = format!("vm0_network_decisions_total{{action=\"{action}\",mode=\"{mode}\"}}");
        assert_eq!(value(&text, &series), count, "{series}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_template_whatever_is_asked() {
    let harness = Harness::start().await;
    for path in ["/v1/runs/a", "/v1/runs/b", "/v1/nothing/c", "/d"] {
        harness.get(path).await;
    }
    let strange = Method::from_bytes(b"STRANGE").unwrap();
    harness.request(strange, "/v1/runs").send().await.unwrap();
    let text = metrics(&harness).await;
    let requests = |method: &str, route: &str, status: u16| {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        value(&text, &format!("vm0_http_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("GET", "/v1/runs/{id}", 404), 2.0);
    assert_eq!(requests("GET", "unmatched", 404), 2.0);
    assert_eq!(requests("other", "/v1/runs", 405), 1.0);
    assert!(!text.contains("/v1/runs/a") && !text.contains("STRANGE"));
}
