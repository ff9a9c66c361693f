//! Failed authentications of an address are limited.

use reqwest::Method;
use serde_json::json;
use vm0_model::token::{TokenKind, TokenSecret};

use crate::harness::{Answer, Harness};

async fn limited() -> Harness {
    Harness::start_with(|config| config.auth_failures_max = 3).await
}

async fn ask(harness: &Harness, token: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("{}/v1/runs", harness.server.url());
    let mut request = harness.http.request(Method::GET, url).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(request.send().await.unwrap()).await
}

fn guess(n: u8) -> String {
    let secret = TokenSecret::from_bytes(TokenKind::Live, [n; 32]);
    secret.expose().to_owned()
}

#[tokio::test]
async fn guesses_are_not_looked_at_after_some_and_valid_tokens_pass() {
    let harness = limited().await;
    assert_eq!(harness.get("/v1/runs").await.status, 200);
    for n in 0..3 {
        ask(&harness, &guess(n), &[])
            .await
            .error(401, "invalid_api_key", None);
    }
    for token in [&guess(9), "no token", &harness.other_token] {
        let answer = ask(&harness, token, &[]).await;
        answer.error(429, "rate_limit_exceeded", None);
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(harness.get("/v1/runs").await.status, 200, "it was valid");
    let claim = json!({ "runner": "r", "sandbox": "fake" });
    harness.agent(json!({})).await;
    harness.run().await;
    assert_eq!(harness.runner("/claim", claim).await.status, 200);
}

#[tokio::test]
async fn what_brings_no_token_is_no_guess() {
    let harness = limited().await;
    let url = format!("{}/v1/runs", harness.server.url());
    for _ in 0..10 {
        let answer = Answer::read(harness.http.get(&url).send().await.unwrap()).await;
        answer.error(401, "invalid_api_key", None);
    }
}

#[tokio::test]
async fn nothing_is_counted_for_a_proxy_of_this_machine() {
    let harness = limited().await;
    for n in 0..10 {
        let answer = ask(&harness, &guess(n), &[("X-Forwarded-For", "192.0.2.1")]).await;
        answer.error(401, "invalid_api_key", None);
    }
}

#[tokio::test]
async fn tokens_and_links_that_fail_on_pages_count_too() {
    let harness = limited().await;
    for n in 0..3 {
        let url = format!("{}/sign-in/{}", harness.server.url(), "a".repeat(n + 1));
        assert_eq!(harness.http.get(url).send().await.unwrap().status(), 404);
    }
    let url = format!("{}/sign-in", harness.server.url());
    let form = harness
        .http
        .post(url)
        .header("Origin", harness.server.url())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("token={}", guess(1)));
    assert_eq!(form.send().await.unwrap().status(), 429);
    ask(&harness, &guess(1), &[])
        .await
        .error(429, "rate_limit_exceeded", None);
}
