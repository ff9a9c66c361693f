//! Tokens (API 12).

use serde_json::{Value, json};
use vm0_model::token::{TokenKind, TokenSecret};
use vm0_model::{Timestamp, TokenId, UserId};
use vm0_server::{TokenFor, TokenRequest, token_create};
use vm0_store::record::{ListPage, TokenOwner, TokenRecord, UserRecord};
use vm0_store::{SqliteStore, UserStore};

use crate::harness::Harness;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn millis(time: &Value) -> i64 {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    time.millis()
}

#[tokio::test]
async fn a_token_is_shown_once_and_authenticates_until_it_is_deleted() {
    let mut harness = Harness::start().await;
    let created = harness
        .post("/v1/tokens", json!({ "name": "laptop" }))
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    let created = created.json();
    let token = created["token"].as_str().unwrap();
    assert!(
        token.starts_with("vm0_live_") && token.len() == 9 + 64,
        "{token}"
    );
    let id = created["id"].as_str().unwrap();
    let mut shown = json!({
        "id": id, "name": "laptop", "token_prefix": format!("{}...", &token[..16]),
        "last_used_at": null, "expires_at": created["expires_at"],
        "created_at": created["created_at"],
    });
    let mut with_token = shown.clone();
    with_token["token"] = token.into();
    assert_eq!(created, with_token);
    let lives = millis(&created["expires_at"]) - millis(&created["created_at"]);
    assert_eq!(lives, 90 * DAY_MS);
    let path = format!("/v1/tokens/{id}");
    assert_eq!(harness.get(&path).await.json(), shown);
    let listed = harness.get("/v1/tokens").await.json();
    assert_eq!(listed["data"][0], shown);
    assert_eq!(
        listed["data"].as_array().unwrap().len(),
        2,
        "with that of the test"
    );
    // It is the same user's, and its use is seen at once.
    harness.token = token.to_owned();
    let used = harness.get(&path).await.json();
    assert!(millis(&used["last_used_at"]) >= millis(&created["created_at"]));
    shown["last_used_at"] = used["last_used_at"].clone();
    assert_eq!(used, shown);
    let deleted = harness.delete(&path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    harness.get(&path).await.error(401, "invalid_api_key", None);
}

#[tokio::test]
async fn a_deleted_token_is_unknown() {
    let harness = Harness::start().await;
    let created = harness
        .post("/v1/tokens", json!({ "name": "x" }))
        .await
        .json();
    let path = format!("/v1/tokens/{}", created["id"].as_str().unwrap());
    assert_eq!(harness.delete(&path).await.status, 204);
    for answer in [harness.delete(&path).await, harness.get(&path).await] {
        let message = answer.error(404, "resource_not_found", None);
        assert_eq!(
            message,
            format!("No such token: '{}'", created["id"].as_str().unwrap())
        );
    }
    let message = harness
        .get("/v1/tokens/X")
        .await
        .error(404, "resource_not_found", None);
    assert_eq!(message, "No such token: 'X'");
}

#[tokio::test]
async fn names_and_expiries_have_their_limits() {
    let harness = Harness::start().await;
    for (body, param) in [
        (json!({}), "name"),
        (json!({ "name": null }), "name"),
        (json!({ "name": 1 }), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "é".repeat(101) }), "name"),
        (
            json!({ "name": "x", "expires_in_days": 0 }),
            "expires_in_days",
        ),
        (
            json!({ "name": "x", "expires_in_days": 366 }),
            "expires_in_days",
        ),
        (
            json!({ "name": "x", "expires_in_days": 1.5 }),
            "expires_in_days",
        ),
        (
            json!({ "name": "x", "expires_in_days": "1" }),
            "expires_in_days",
        ),
    ] {
        let answer = harness.post("/v1/tokens", body).await;
        answer.error(400, "invalid_parameter", Some(param));
    }
    for (days, body) in [
        (1, json!({ "name": "é".repeat(100), "expires_in_days": 1 })),
        (365, json!({ "name": "x", "expires_in_days": 365 })),
        (90, json!({ "name": "x", "expires_in_days": null })),
    ] {
        let token = harness.post("/v1/tokens", body).await.json();
        let lives = millis(&token["expires_at"]) - millis(&token["created_at"]);
        assert_eq!(lives, days * DAY_MS);
    }
}

#[tokio::test]
async fn a_list_has_the_tokens_of_the_caller_only_newest_first() {
    let harness = Harness::start().await;
    let data_dir = harness.directory.path().join("data");
    // A runner's token is nobody's, even of a runner named like the user.
    let runner = TokenRequest {
        owner: TokenFor::Runner("ada".to_owned()),
        label: "runner".to_owned(),
        expires_in_days: 1,
    };
    token_create(&data_dir, runner).await.unwrap();
    for n in 0..5 {
        let body = json!({ "name": format!("token {n}") });
        harness.post("/v1/tokens", body).await;
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tokens?limit=2&cursor={cursor}");
        let page = harness.get(&path).await.json();
        let data = page["data"].as_array().unwrap();
        names.extend(
            data.iter()
                .map(|token| token["name"].as_str().unwrap().to_owned()),
        );
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        names,
        [
            "token 4", "token 3", "token 2", "token 1", "token 0", "test"
        ]
    );
    let wrong = harness.get("/v1/tokens?cursor=abc123").await;
    wrong.error(400, "invalid_parameter", Some("cursor"));
}

#[tokio::test]
async fn an_expired_token_is_listed_and_refused() {
    let mut harness = Harness::start().await;
    let secret = TokenSecret::from_bytes(TokenKind::Live, [9; 32]);
    let (store, user) = database(&harness.directory).await;
    let expired = Timestamp::from_millis(1_700_000_000_000);
    let record = TokenRecord {
        id: TokenId::from_uuid(uuid::Uuid::now_v7()),
        owner: TokenOwner::User(user),
        name: "old".to_owned(),
        hash: secret.hash().to_string(),
        prefix: secret.shown_prefix(),
        expires_at: Some(expired),
        last_used_at: None,
        created_at: Timestamp::from_millis(1_600_000_000_000),
    };
    store.token_create(record).await.unwrap();
    let listed = harness.get("/v1/tokens").await.json();
    assert_eq!(listed["data"][1]["name"], "old");
    assert_eq!(listed["data"][1]["expires_at"], expired.to_string());
    harness.token = secret.expose().to_owned();
    let refused = harness.get("/v1/tokens").await;
    refused.error(401, "invalid_api_key", None);
}

#[tokio::test]
async fn the_last_use_survives_a_stop() {
    let harness = Harness::start().await;
    let shown = harness.get("/v1/tokens").await.json()["data"][0]["last_used_at"].clone();
    let Harness {
        server, directory, ..
    } = harness;
    server.stop().await;
    let (store, user) = database(&directory).await;
    let page = ListPage {
        limit: 10,
        after: None,
    };
    let tokens = store.token_list(user.id, page).await.unwrap();
    let recorded = tokens[0].last_used_at.map(|time| time.to_string());
    assert_eq!(recorded.as_deref(), shown.as_str());
}

/// The database beside the server, and the user whose token the harness has.
async fn database(directory: &tempfile::TempDir) -> (SqliteStore, UserRecord) {
    let path = directory.path().join("data/vm0.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = UserId::from_uuid(uuid::Uuid::now_v7());
    let now = Timestamp::from_millis(0);
    let user = store.user_ensure(id, "ada", now).await.unwrap();
    (store, user)
}
