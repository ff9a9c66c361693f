//! Secrets and variables (API 11), and what runs take of them (API 4.6).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use serde_json::{Value, json};
use vm0_server::{KeyError, Server, ServerConfig, StartError};

use crate::harness::{Answer, Harness};

const KINDS: [&str; 2] = ["secrets", "variables"];
const VALUE: &str = "a-value-that-is-found-nowhere-else";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_value_is_new_once_and_then_replaced() {
    let harness = Harness::start().await;
    for kind in KINDS {
        let path = format!("/v1/{kind}/API_KEY");
        let created = harness.put(&path, json!({ "value": "first" })).await;
        assert_eq!(created.status, 201, "{created:?}");
        let created = created.json();
        let mut expected = json!({
            "name": "API_KEY", "created_at": created["created_at"],
            "updated_at": created["created_at"],
        });
        if kind == "variables" {
            expected["value"] = "first".into();
        }
        assert_eq!(created, expected);
        assert_eq!(harness.get(&path).await.json(), expected);
        let body = json!({ "value": "second", "name": "OTHER", "x": null });
        let replaced = harness.put(&path, body).await;
        assert_eq!(replaced.status, 200, "{replaced:?}");
        let replaced = replaced.json();
        assert_eq!(replaced["name"], "API_KEY");
        assert_eq!(replaced["created_at"], created["created_at"]);
        assert!(text(&replaced["updated_at"]) >= text(&created["updated_at"]));
        let listed = harness.get(&format!("/v1/{kind}")).await.json();
        assert_eq!(listed["data"], json!([replaced]));
        let deleted = harness.delete(&path).await;
        assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
        for answer in [harness.get(&path).await, harness.delete(&path).await] {
            let message = answer.error(404, "resource_not_found", None);
            let kind = kind.trim_end_matches('s');
            assert_eq!(message, format!("No such {kind}: 'API_KEY'"));
        }
        let again = harness.put(&path, json!({ "value": "third" })).await;
        assert_eq!(again.status, 201, "{again:?}");
    }
}

#[tokio::test]
async fn names_and_values_have_their_limits() {
    let harness = Harness::start().await;
    let (longest, too_long) = ("A".repeat(255), "A".repeat(256));
    let (biggest, too_big) = ("é".repeat(32_768), format!("x{}", "é".repeat(32_768)));
    for kind in KINDS {
        let put = |name: &str, body: Value| {
            let path = format!("/v1/{kind}/{name}");
            let harness = &harness;
            async move { harness.put(&path, body).await }
        };
        for name in [
            "a", "_A", "1A", "A-B", "A%20B", "A%2FB", "%C3%89", &too_long, "",
        ] {
            let answer = put(name, json!({ "value": "x" })).await;
            answer.error(400, "invalid_parameter", Some("name"));
            let answer = harness.get(&format!("/v1/{kind}/{name}")).await;
            answer.error(404, "resource_not_found", None);
        }
        for value in [json!(null), json!(1), json!(["x"]), json!(too_big)] {
            let answer = put("A", json!({ "value": value })).await;
            answer.error(400, "invalid_parameter", Some("value"));
        }
        let missing = put("A", json!({})).await;
        missing.error(400, "invalid_parameter", Some("value"));
        let empty = put("A", json!({ "value": "" })).await;
        if kind == "secrets" {
            empty.error(400, "invalid_parameter", Some("value"));
        } else {
            assert_eq!((empty.status, &empty.json()["value"]), (201, &json!("")));
        }
        assert_eq!(put(&longest, json!({ "value": biggest })).await.status, 201);
        let answer = put("A", json!({ "value": "x".repeat(1 << 20) })).await;
        answer.error(413, "payload_too_large", Some("body"));
        let request = harness.request(Method::PUT, &format!("/v1/{kind}/A"));
        let answer = Answer::read(request.body("{}").send().await.unwrap()).await;
        answer.error(400, "invalid_parameter", Some("Content-Type"));
    }
}

#[tokio::test]
async fn a_walk_shows_each_value_once_newest_first() {
    let harness = Harness::start().await;
    for kind in KINDS {
        let mut names = Vec::new();
        for n in 0..7 {
            let name = format!("KEY_{n}");
            let path = format!("/v1/{kind}/{name}");
            harness.put(&path, json!({ "value": "x" })).await;
            names.push(name);
        }
        // A replaced value keeps its place.
        let path = format!("/v1/{kind}/KEY_0");
        harness.put(&path, json!({ "value": "y" })).await;
        let mut walked: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/{kind}?limit=3&cursor={cursor}");
            let page = harness.get(&path).await.json();
            walked.extend(page["data"].as_array().unwrap().clone());
            let path = format!("/v1/{kind}/LATER_{}", walked.len());
            harness.put(&path, json!({ "value": "x" })).await;
            match page["pagination"]["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let order = |item: &Value| (item["created_at"].to_string(), item["name"].to_string());
        assert!(
            walked.is_sorted_by(|a, b| order(a) > order(b)),
            "{walked:?}"
        );
        let mut walked: Vec<_> = walked.iter().map(|item| text(&item["name"])).collect();
        walked.sort_unstable();
        assert_eq!(walked, names);
        let wrong = harness.get(&format!("/v1/{kind}?cursor=abc123")).await;
        wrong.error(400, "invalid_parameter", Some("cursor"));
        let wrong = harness.get(&format!("/v1/{kind}?limit=101")).await;
        wrong.error(400, "invalid_parameter", Some("limit"));
    }
}

#[tokio::test]
async fn a_run_takes_what_is_given_and_else_what_is_stored() {
    let harness = Harness::start().await;
    let env = json!({ "A": "${{ vars.A }}", "B": "${{ secrets.B }}-${{ secrets.C }}" });
    harness.agent(json!({ "environment": env })).await;
    let post = |body: Value| harness.post("/v1/runs", body);
    let bare = json!({ "agent": "demo", "prompt": "true" });
    let answer = post(bare.clone()).await;
    answer.error(400, "invalid_parameter", Some("variables"));
    harness.put("/v1/variables/A", json!({ "value": "" })).await;
    harness
        .put("/v1/secrets/B", json!({ "value": "stored-b" }))
        .await;
    harness
        .put("/v1/secrets/UNUSED", json!({ "value": "unused" }))
        .await;
    let answer = post(bare.clone()).await;
    let message = answer.error(400, "invalid_parameter", Some("secrets"));
    assert!(
        message.starts_with("Missing required secrets: C. "),
        "{message}"
    );
    harness
        .put("/v1/secrets/C", json!({ "value": "stored-c" }))
        .await;
    assert_eq!(post(bare).await.status, 202);
    let body = json!({
        "agent": "demo", "prompt": "true", "variables": { "A": "given-a" },
        "secrets": { "B": "", "C": "given-c", "OTHER": "given-other" },
    });
    assert_eq!(post(body).await.status, 202);
    // What changes now is for later runs.
    for path in ["/v1/secrets/B", "/v1/secrets/C", "/v1/variables/A"] {
        harness.put(path, json!({ "value": "changed" })).await;
        harness.delete(path).await;
    }
    let spec = harness.claim().await["spec"].clone();
    assert_eq!(
        spec["environment"],
        json!({ "A": "", "B": "stored-b-stored-c" })
    );
    assert_eq!(spec["secrets"], json!({ "B": "stored-b", "C": "stored-c" }));
    let spec = harness.claim().await["spec"].clone();
    assert_eq!(
        spec["environment"],
        json!({ "A": "given-a", "B": "stored-b-given-c" })
    );
    let masked = json!({ "B": "stored-b", "C": "given-c", "OTHER": "given-other" });
    assert_eq!(spec["secrets"], masked, "all that is masked");
}

#[tokio::test]
async fn stored_values_of_another_user_are_not_taken() {
    let mut harness = Harness::start().await;
    harness
        .put("/v1/secrets/B", json!({ "value": "hers" }))
        .await;
    harness
        .put("/v1/variables/A", json!({ "value": "hers" }))
        .await;
    harness.token = harness.other_token.clone();
    let env = json!({ "A": "${{ vars.A }}", "B": "${{ secrets.B }}" });
    harness.agent(json!({ "environment": env })).await;
    let post = |body: Value| harness.post("/v1/runs", body);
    let answer = post(json!({ "agent": "demo", "prompt": "x" })).await;
    answer.error(400, "invalid_parameter", Some("variables"));
    let body = json!({ "agent": "demo", "prompt": "x", "variables": { "A": "mine" } });
    post(body)
        .await
        .error(400, "invalid_parameter", Some("secrets"));
}

#[tokio::test]
async fn stored_variables_name_volumes_and_are_not_inherited() {
    let harness = Harness::start().await;
    let volume = json!({ "name": "data-${{ vars.REGION }}" });
    let config = json!({
        "version": "1.0",
        "agents": { "demo": { "framework": "shell", "volumes": ["data:/data"] } },
        "volumes": { "data": volume },
    });
    let answer = harness
        .post("/v1/agents", json!({ "config": config }))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    harness
        .put("/v1/variables/REGION", json!({ "value": "eu" }))
        .await;
    let body = json!({ "agent": "demo", "prompt": "x" });
    let answer = harness.post("/v1/runs", body).await;
    let message = answer.error(400, "invalid_parameter", Some("volumes.data"));
    assert!(message.contains("data-eu"), "{message}");
    harness
        .agent(json!({ "environment": { "R": "${{ vars.REGION }}" } }))
        .await;
    let run = harness.run().await;
    assert_eq!(harness.claim().await["spec"]["environment"]["R"], "eu");
    harness.complete(&run).await;
    harness
        .put("/v1/variables/REGION", json!({ "value": "us" }))
        .await;
    let run = harness.get(&format!("/v1/runs/{run}")).await.json();
    let body = json!({ "checkpoint_id": run["checkpoint_id"], "prompt": "x" });
    assert_eq!(harness.post("/v1/runs", body).await.status, 202);
    let spec = harness.claim().await["spec"].clone();
    assert_eq!(spec["environment"]["R"], "us", "the value of now");
}

#[tokio::test]
async fn no_secret_is_on_the_disk_in_clear() {
    let harness = Harness::start().await;
    harness
        .put("/v1/secrets/KEY", json!({ "value": VALUE }))
        .await;
    harness
        .put(
            "/v1/variables/KEY",
            json!({ "value": "a-variable-in-clear" }),
        )
        .await;
    harness
        .agent(json!({ "environment": { "KEY": "${{ secrets.KEY }}" } }))
        .await;
    harness.run().await;
    let data = harness.directory.path().join("data");
    let holds = |text: &str| -> Vec<_> {
        let holds = |file: &std::path::PathBuf| {
            let bytes = fs::read(file).unwrap();
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        files(&data).into_iter().filter(holds).collect()
    };
    assert_eq!(holds(VALUE), [""; 0].map(std::path::PathBuf::from));
    assert!(
        !holds("a-variable-in-clear").is_empty(),
        "the search finds what is there"
    );
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    };
    entries.flat_map(below).collect()
}

#[tokio::test]
async fn the_key_of_stored_secrets_is_neither_lost_nor_shared_unnoticed() {
    let harness = Harness::start().await;
    harness
        .put("/v1/secrets/KEY", json!({ "value": VALUE }))
        .await;
    let Harness {
        server, directory, ..
    } = harness;
    server.stop().await;
    let data = directory.path().join("data");
    let key = data.join("keys/secrets.key");
    let start = || {
        Server::start(ServerConfig::new(
            data.clone(),
            "127.0.0.1:0".parse().unwrap(),
        ))
    };
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for _ in 0..2 {
        let refused = start().await.unwrap_err();
        assert!(
            matches!(refused, StartError::Keys(KeyError::Missing { .. })),
            "{refused}"
        );
    }
    fs::write(&key, &kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = start().await.unwrap_err();
    assert!(
        matches!(
            refused,
            StartError::Keys(KeyError::Mode { mode: 0o640, .. })
        ),
        "{refused}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "5".repeat(64)).unwrap();
    let refused = start().await.unwrap_err();
    assert!(
        matches!(refused, StartError::Keys(KeyError::Foreign { .. })),
        "{refused}"
    );
    fs::write(&key, &kept).unwrap();
    start().await.unwrap().stop().await;
}
