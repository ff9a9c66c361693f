//! The network policy of a run, changed while it waits or goes on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Harness;

fn allowlist() -> Value {
    json!({ "mode": "allowlist", "rules": [{ "domain": "a.example", "action": "allow" }] })
}

fn shown() -> Value {
    json!({ "mode": "allowlist", "inspect": false, "rules": [
        { "domain": "a.example", "ports": [80, 443], "action": "allow" },
    ]})
}

/// The policy as a runner gets it.
fn delivered() -> Value {
    json!({ "mode": "allowlist", "inspect": false, "rules": [
        { "target": { "domain": "a.example" }, "ports": [[80, 80], [443, 443]], "methods": [],
          "paths": [], "action": "allow" },
    ]})
}

async fn world(network: Value) -> (Harness, String) {
    let harness = Harness::start().await;
    harness.agent(json!({ "network": network })).await;
    let run = harness.run().await;
    (harness, run)
}

#[tokio::test]
async fn the_policy_is_that_of_the_agent_until_it_is_changed() {
    let (harness, run) = world(json!({ "mode": "allowlist" })).await;
    let path = format!("/v1/runs/{run}/network");
    let first = harness.get(&path).await;
    assert_eq!(
        first.json(),
        json!({ "mode": "allowlist", "inspect": false, "rules": [] })
    );
    let changed = harness.put(&path, allowlist()).await;
    assert_eq!((changed.status, changed.json()), (200, shown()));
    assert_eq!(harness.get(&path).await.json(), shown());
    let cleared = harness.put(&path, json!({})).await;
    assert_eq!(
        cleared.json()["mode"],
        "public",
        "it takes the whole's place"
    );
}

#[tokio::test]
async fn a_policy_given_while_the_run_waits_comes_with_the_claim() {
    let (harness, run) = world(json!({ "mode": "none" })).await;
    let path = format!("/v1/runs/{run}/network");
    assert_eq!(harness.put(&path, allowlist()).await.status, 200);
    let claim = harness.claim().await;
    assert_eq!(
        claim["spec"]["network"],
        json!({ "revision": 1, "policy": delivered() })
    );
    let closed = harness.put(&path, json!({ "mode": "none" })).await;
    assert_eq!(closed.status, 200, "its sandbox has a proxy: {closed:?}");
}

#[tokio::test]
async fn a_change_reaches_the_watching_runner_at_once_and_once() {
    let (harness, run) = world(json!({})).await;
    let claim = harness.claim().await;
    assert_eq!(claim["spec"]["network"], Value::Null);
    let watch_path = format!("/runs/{run}/watch");
    let knows = |revision: u64| json!({ "epoch": 1, "network_revision": revision });
    let watch = async {
        let answer = harness.runner(&watch_path, knows(0)).await;
        (answer, Instant::now())
    };
    let change = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        let path = format!("/v1/runs/{run}/network");
        assert_eq!(harness.put(&path, allowlist()).await.status, 200);
        began
    };
    let ((answer, ended), began) = tokio::join!(watch, change);
    assert!(
        ended - began < Duration::from_secs(1),
        "in force within 1 s"
    );
    let network = json!({ "revision": 1, "policy": delivered() });
    assert_eq!(answer.json()["network"], network);
    let late = harness.runner(&watch_path, knows(0)).await;
    assert_eq!(late.json()["network"], network, "a runner that was away");
    // One that knows waits, until something else happens.
    let watch = harness.runner(&watch_path, knows(1));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        harness
            .post(&format!("/v1/runs/{run}/cancel"), json!({}))
            .await
    };
    let (answer, _) = tokio::join!(watch, cancel);
    assert_eq!(answer.json()["status"], "cancelled");
    assert_eq!(answer.json()["network"], Value::Null);
}

#[tokio::test]
async fn a_runner_that_does_not_follow_changes_is_not_told_of_them() {
    let (harness, run) = world(json!({})).await;
    harness.claim().await;
    let path = format!("/v1/runs/{run}/network");
    assert_eq!(harness.put(&path, allowlist()).await.status, 200);
    let watch_path = format!("/runs/{run}/watch");
    let watch = harness.runner(&watch_path, json!({ "epoch": 1 }));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        harness
            .post(&format!("/v1/runs/{run}/cancel"), json!({}))
            .await
    };
    let (answer, _) = tokio::join!(watch, cancel);
    assert_eq!(answer.json()["status"], "cancelled", "it waited");
}

#[tokio::test]
async fn a_policy_is_checked_as_in_vm0_yaml() {
    let (harness, run) = world(json!({})).await;
    let path = format!("/v1/runs/{run}/network");
    let rules = |rule: Value| json!({ "rules": [rule] });
    let allow = |key: &str, value: Value| rules(json!({ "action": "allow", key: value }));
    let many: Vec<_> = (0..201)
        .map(|n| json!({ "ip": format!("1.1.1.{}", n % 200), "action": "deny" }))
        .collect();
    for (section, param, message) in [
        (
            json!({ "mode": "open" }),
            "network.mode",
            "network.mode: invalid value 'open'; allowed: public, allowlist, none",
        ),
        (
            json!({ "mode": null }),
            "network.mode",
            "network.mode: must be a string, not null",
        ),
        (
            json!({ "rule": [] }),
            "network.rule",
            "network.rule: unknown key 'rule'; did you mean 'rules'?",
        ),
        (
            json!({ "mode": "none", "rules": [{ "ip": "1.1.1.1", "action": "allow" }] }),
            "network.rules",
            "network.rules: must be empty with mode none",
        ),
        (
            rules(json!({ "domain": "a.example" })),
            "network.rules.0.action",
            "network.rules.0.action: is required",
        ),
        (
            allow("cidr", json!("10.0.0.1/8")),
            "network.rules.0.cidr",
            "network.rules.0.cidr: must be a network without host bits, for example 10.1.0.0/16",
        ),
        (
            json!({ "rules": many }),
            "network.rules",
            "network.rules: must have at most 200 entries",
        ),
    ] {
        let answer = harness.put(&path, section).await;
        let text = answer.error(400, "invalid_parameter", Some(param));
        assert_eq!(text, message);
    }
    harness
        .put(&path, json!([]))
        .await
        .error(400, "invalid_parameter", Some("body"));
}

#[tokio::test]
async fn a_run_without_network_and_one_that_ended_keep_their_policy() {
    let (harness, run) = world(json!({ "mode": "none" })).await;
    let path = format!("/v1/runs/{run}/network");
    harness.claim().await;
    let answer = harness.put(&path, allowlist()).await;
    let text = answer.error(400, "invalid_state", None);
    assert!(text.contains("its sandbox has no proxy"), "{text}");
    harness
        .post(&format!("/v1/runs/{run}/cancel"), json!({}))
        .await;
    let answer = harness.put(&path, allowlist()).await;
    let text = answer.error(400, "invalid_state", None);
    assert_eq!(text, "Run cannot be changed: current status is 'cancelled'");
    assert_eq!(harness.get(&path).await.json()["mode"], "none");
}

#[tokio::test]
async fn a_changed_policy_survives_a_restart_of_the_server() {
    let (mut harness, run) = world(json!({})).await;
    harness.claim().await;
    let path = format!("/v1/runs/{run}/network");
    assert_eq!(harness.put(&path, allowlist()).await.status, 200);
    harness = harness.restart().await;
    assert_eq!(harness.get(&path).await.json(), shown());
    let body = json!({ "epoch": 1, "network_revision": 0 });
    let watch = harness.runner(&format!("/runs/{run}/watch"), body).await;
    assert_eq!(watch.json()["network"]["revision"], 1);
}
