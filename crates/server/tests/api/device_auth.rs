//! The device authorization grant (CLI 9, RFC 8628).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vm0_model::limits::{DEVICE_STARTS_MAX, USER_CODE_TRIES_MAX};

use crate::harness::{Answer, Harness};
use crate::visitor::Visitor;

async fn start(harness: &Harness) -> Value {
    let answer = harness.post("/api/cli/auth/device", json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

async fn poll(harness: &Harness, code: &Value) -> Answer {
    let url = format!("{}/api/cli/auth/token", harness.server.url());
    let body = json!({ "device_code": code["device_code"] });
    let answer = harness.http.post(url).json(&body).send().await.unwrap();
    Answer::read(answer).await
}

async fn ada(harness: &Harness) -> Visitor {
    Visitor::signed_in(harness.server.url(), &harness.token).await
}

/// What a poll is refused with.
fn refused(answer: &Answer, error: &str) {
    let body = json!({ "error": error });
    assert_eq!((answer.status, answer.json()), (400, body));
}

async fn decide(visitor: &mut Visitor, code: &Value, action: &str) -> Answer {
    let code = code["user_code"].as_str().unwrap();
    let fields = [("user_code", code), ("action", action)];
    visitor.post_signed("/device", &fields).await
}

#[tokio::test]
async fn an_approved_code_gives_a_token_of_who_approved_once() {
    let mut harness = Harness::start().await;
    let code = start(&harness).await;
    let text = |key: &str| code[key].as_str().unwrap();
    assert_eq!(text("device_code").len(), 64);
    let letters = text("user_code").replacen('-', "", 1);
    assert!(
        letters.len() == 8
            && letters
                .bytes()
                .all(|b| b"BCDFGHJKLMNPQRSTVWXZ".contains(&b))
    );
    assert_eq!(text("verification_path"), "/device");
    assert_eq!(
        (&code["expires_in"], &code["interval"]),
        (&json!(900), &json!(5))
    );
    let mut ada = ada(&harness).await;
    let page = decide(&mut ada, &code, "view").await;
    assert!(
        page.text.contains("Let this program sign in as ada?"),
        "{}",
        page.text
    );
    assert!(page.text.contains(text("user_code")) && page.text.contains("127.0.0.1"));
    let page = decide(&mut ada, &code, "approve").await;
    assert!(page.status == 200 && page.text.contains("<h1>Approved</h1>"));
    let answer = poll(&harness, &code).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, Some("no-store"))
    );
    let token = answer.json();
    assert_eq!(token["token_type"], "Bearer");
    assert_eq!(token["expires_in"], 90 * 24 * 3600);
    assert_eq!(token.as_object().unwrap().len(), 3);
    refused(&poll(&harness, &code).await, "expired_token");
    let again = decide(&mut ada, &code, "approve").await;
    assert!(again.status == 410 && again.text.contains("This code was used already"));
    let agent = harness.agent(json!({})).await;
    harness.token = token["access_token"].as_str().unwrap().to_owned();
    let listed = harness.get("/v1/agents").await.json();
    assert_eq!(listed["data"][0]["id"], agent["id"], "it is ada's");
    let tokens = harness.get("/v1/tokens").await.json();
    assert_eq!(tokens["data"][0]["name"], "vm0 auth login");
    assert_eq!(tokens["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn polls_that_come_too_fast_are_slowed_down() {
    let harness = Harness::start().await;
    let code = start(&harness).await;
    refused(&poll(&harness, &code).await, "authorization_pending");
    decide(&mut ada(&harness).await, &code, "approve").await;
    for _ in 0..3 {
        refused(&poll(&harness, &code).await, "slow_down");
    }
}

#[tokio::test]
async fn a_denied_code_gives_nothing() {
    let harness = Harness::start().await;
    let code = start(&harness).await;
    let page = decide(&mut ada(&harness).await, &code, "deny").await;
    assert!(page.text.contains("<h1>Denied</h1>"), "{}", page.text);
    refused(&poll(&harness, &code).await, "access_denied");
    let mut bob = Visitor::signed_in(harness.server.url(), &harness.other_token).await;
    assert_eq!(decide(&mut bob, &code, "approve").await.status, 410);
}

#[tokio::test]
async fn an_expired_code_gives_nothing_and_the_page_says_so() {
    let expired = |config: &mut vm0_server::ServerConfig| config.device_code_ttl = Duration::ZERO;
    let harness = Harness::start_with(expired).await;
    let code = start(&harness).await;
    let mut ada = ada(&harness).await;
    for action in ["view", "approve", "deny"] {
        let page = decide(&mut ada, &code, action).await;
        assert!(page.status == 410 && page.text.contains("This code has expired"));
    }
    refused(&poll(&harness, &code).await, "expired_token");
}

#[tokio::test]
async fn what_is_no_device_code_is_refused() {
    let harness = Harness::start().await;
    for code in ["", "x", &"0".repeat(64), &"é".repeat(10_000)] {
        let answer = poll(&harness, &json!({ "device_code": code })).await;
        refused(&answer, "expired_token");
    }
    for body in [
        json!({}),
        json!({ "device_code": 1 }),
        json!({ "device_code": null }),
    ] {
        let answer = harness.post("/api/cli/auth/token", body).await;
        answer.error(400, "invalid_parameter", Some("device_code"));
    }
}

#[tokio::test]
async fn wrong_codes_are_limited_for_each_user() {
    let harness = Harness::start().await;
    let code = start(&harness).await;
    let mut ada = ada(&harness).await;
    for _ in 0..2 * USER_CODE_TRIES_MAX {
        assert_eq!(decide(&mut ada, &code, "view").await.status, 200);
    }
    for n in 0..USER_CODE_TRIES_MAX {
        let typed = if n % 2 == 0 { "BBBB-BBBB" } else { "<no code>" };
        let wrong = decide(&mut ada, &json!({ "user_code": typed }), "view").await;
        assert_eq!(wrong.status, 404);
        assert!(wrong.text.contains("No program has this code"));
    }
    for action in ["view", "approve"] {
        let page = decide(&mut ada, &code, action).await;
        assert!(page.status == 429 && page.text.contains("Too many tries"));
        let wait: u32 = page.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
    }
    let mut bob = Visitor::signed_in(harness.server.url(), &harness.other_token).await;
    assert_eq!(decide(&mut bob, &code, "approve").await.status, 200);
}

#[tokio::test]
async fn an_address_begins_only_so_many_codes() {
    let harness = Harness::start().await;
    for _ in 0..DEVICE_STARTS_MAX {
        start(&harness).await;
    }
    let answer = harness.post("/api/cli/auth/device", json!({})).await;
    answer.error(429, "rate_limit_exceeded", None);
    assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn what_a_program_says_of_itself_is_shown_as_text() {
    let harness = Harness::start().await;
    let name = format!("<script>{}", "x".repeat(200));
    let request = harness
        .request(Method::POST, "/api/cli/auth/device")
        .header("User-Agent", name)
        .header("X-Forwarded-For", "10.0.0.1");
    let code = Answer::read(request.send().await.unwrap()).await.json();
    let page = decide(&mut ada(&harness).await, &code, "view").await.text;
    let shown = format!("<dd>&lt;script&gt;{}</dd>", "x".repeat(92));
    assert!(page.contains(&shown), "{page}");
    assert!(!page.contains("10.0.0.1") && page.contains("through a proxy"));
}

#[tokio::test]
async fn no_code_link_or_session_is_on_the_disk_in_clear() {
    let harness = Harness::start().await;
    let code = start(&harness).await;
    let mut ada = ada(&harness).await;
    let page = ada.post_signed("/sign-in-link", &[]).await.text;
    let (_, link) = page.split_once("/sign-in/").unwrap();
    let user_code = code["user_code"].as_str().unwrap();
    let secrets = [
        code["device_code"].as_str().unwrap(),
        user_code,
        &user_code.replace('-', ""),
        &link[..64],
        ada.cookie.as_ref().unwrap().split_once('=').unwrap().1,
    ];
    let data = harness.directory.path().join("data");
    for file in ["vm0.db", "vm0.db-wal"] {
        let bytes = std::fs::read(data.join(file)).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{secret} in {file}");
        }
    }
}
