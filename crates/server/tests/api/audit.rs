//! Every administrative action leaves a line, and what does not happen leaves none.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use vm0_model::Timestamp;
use vm0_server::{AuditLine, AuditReader, GcOptions, gc};
use vm0_store::record::AuditAction;

use crate::harness::Harness;
use crate::storages;
use crate::visitor::Visitor;

const SECRET: &str = "hush-hush-4711";

async fn lines(harness: &Harness) -> Vec<AuditLine> {
    let data_dir = harness.directory.path().join("data");
    let reader = AuditReader::open(&data_dir, Timestamp::from_micros(0)).await;
    let mut reader = reader.unwrap();
    let mut lines = Vec::new();
    loop {
        let page = reader.page().await.unwrap();
        if page.is_empty() {
            return lines;
        }
        lines.extend(page);
    }
}

async fn decide(harness: &Harness, visitor: &mut Visitor, action: &str) -> Value {
    let answer = harness.post("/api/cli/auth/device", json!({})).await;
    let code = answer.json();
    let fields = [
        ("user_code", code["user_code"].as_str().unwrap()),
        ("action", action),
    ];
    assert_eq!(visitor.post_signed("/device", &fields).await.status, 200);
    code
}

async fn act(harness: &Harness) {
    harness
        .put("/v1/secrets/API_KEY", json!({ "value": SECRET }))
        .await;
    harness.delete("/v1/secrets/API_KEY").await;
    let made = harness.post("/v1/tokens", json!({ "name": "ci" })).await;
    let token = made.json()["id"].as_str().unwrap().to_owned();
    harness.delete(&format!("/v1/tokens/{token}")).await;
    let agent = harness.agent(json!({})).await;
    let run = harness.run().await;
    harness
        .put(
            &format!("/v1/runs/{run}/network"),
            json!({ "mode": "none" }),
        )
        .await;
    harness
        .post(&format!("/v1/runs/{run}/cancel"), json!({}))
        .await;
    let agent = agent["id"].as_str().unwrap();
    harness.delete(&format!("/v1/agents/{agent}")).await;
    let volume = storages::volume(harness, "books").await;
    let archive = storages::archive(&[("a.txt", b"hello\n")]);
    let session = storages::upload(harness, &volume, &storages::hello(), archive).await;
    let body = json!({ "upload_session_id": session });
    harness.post(&format!("{volume}/commit"), body).await;
    harness.delete(&volume).await;
    let mut ada = Visitor::signed_in(harness.server.url(), &harness.token).await;
    decide(harness, &mut ada, "deny").await;
    let code = decide(harness, &mut ada, "approve").await;
    let poll = json!({ "device_code": code["device_code"] });
    let redeemed = harness.post("/api/cli/auth/token", poll).await;
    assert_eq!(redeemed.status, 200);
    let options = GcOptions {
        grace: Duration::ZERO,
        ..GcOptions::default()
    };
    let data_dir = harness.directory.path().join("data");
    // What is condemned at first is removed the next time.
    for _ in 0..2 {
        gc(&data_dir, options).await.unwrap();
    }
}

#[tokio::test]
async fn every_action_leaves_a_line_and_no_value() {
    let harness = Harness::start().await;
    act(&harness).await;
    let lines = lines(&harness).await;
    let seen: BTreeSet<_> = lines.iter().map(|line| line.action).collect();
    let all: BTreeSet<_> = AuditAction::ALL.iter().map(|it| it.as_str()).collect();
    assert_eq!(seen, all);
    let text = serde_json::to_string(&lines).unwrap();
    for value in [SECRET, harness.token.as_str()] {
        assert!(!text.contains(value), "{text}");
    }
    let find = |action: AuditAction| {
        let mut found = lines.iter().filter(|line| line.action == action.as_str());
        found.next_back().unwrap()
    };
    let set = find(AuditAction::SecretSet);
    assert_eq!(
        (set.who.as_str(), set.object.as_str()),
        ("user ada", "secret API_KEY")
    );
    assert_eq!(set.address.as_deref(), Some("127.0.0.1"));
    assert!(set.token_id.is_some());
    assert!(
        find(AuditAction::AgentDelete)
            .object
            .starts_with("agent demo ")
    );
    assert!(
        find(AuditAction::StorageDelete)
            .object
            .starts_with("volume books ")
    );
    assert_eq!(find(AuditAction::DeviceApprove).who, "user ada");
    assert!(
        find(AuditAction::UserCreate)
            .who
            .starts_with("operator uid ")
    );
    assert!(lines.is_sorted_by_key(|line| line.timestamp));
}

#[tokio::test]
async fn what_does_not_happen_leaves_no_line() {
    let harness = Harness::start().await;
    let before = lines(&harness).await.len();
    let unknown = "019bc134-7840-7cba-a551-2100f80b56fc";
    for path in [
        "/v1/secrets/NONE".to_owned(),
        format!("/v1/tokens/{unknown}"),
        format!("/v1/agents/{unknown}"),
        format!("/v1/volumes/{unknown}"),
    ] {
        assert_eq!(harness.delete(&path).await.status, 404);
    }
    harness.agent(json!({})).await;
    let run = harness.run().await;
    let path = format!("/v1/runs/{run}/network");
    harness.put(&path, json!({ "mode": "open" })).await;
    harness.get(&path).await;
    assert_eq!(lines(&harness).await.len(), before);
}
