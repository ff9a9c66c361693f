//! The log of a server: a line for each request, and nothing in it that opens anything.

use serde_json::json;
use vm0_testkit::ServerOptions;

const SECRET: &str = "hush-hush-4711-secret-value";
const GIVEN: &str = "given-with-the-run-0815";

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_a_line_without_secrets() {
    let mut options = ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake").arg("--no-runner");
    let debug = ("VM0_LOG_LEVEL".to_owned(), "debug".to_owned());
    options.env.push(debug);
    let server = options.start();
    let api = server.api();
    api.put("/v1/secrets/API_KEY", &json!({ "value": SECRET }))
        .await
        .expect(201);
    let made = api.post("/v1/tokens", &json!({ "name": "ci" })).await;
    let made = made.expect(201)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    api.shell_agent("demo").await;
    let run = json!({ "agent": "demo", "prompt": "true", "secrets": { "K": GIVEN } });
    api.run(&run).await;
    let volume = api.storage("volumes", "books").await;
    api.push("volumes", &volume, &[("a.txt", b"hello")]).await;
    api.download("volumes", &volume, None).await;
    let wrong = format!("vm0_live_{}", "ab".repeat(32));
    api.with_token(&wrong).get("/v1/runs").await.expect(401);
    let device = api
        .post("/api/cli/auth/device", &json!({}))
        .await
        .expect(200);
    let code = device["device_code"].as_str().expect("a code");
    let poll = json!({ "device_code": code });
    api.post("/api/cli/auth/token", &poll).await.expect(400);
    let link = "cd".repeat(32);
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let page = http.get(format!("{}/sign-in/{link}?x={SECRET}", server.url()));
    assert_eq!(page.send().await.expect("an answer").status(), 404);
    let log = server.log();
    for secret in [
        SECRET,
        GIVEN,
        server.token(),
        &made,
        &wrong,
        code,
        device["user_code"].as_str().expect("a code"),
        &link,
        "signature",
        "?",
    ] {
        assert!(!log.contains(secret), "'{secret}' is in the log:\n{log}");
    }
    let line = |parts: &[&str]| {
        let found = log
            .lines()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?}:\n{log}");
    };
    line(&["PUT", "/v1/secrets/{name}", "201", "tester", "req_"]);
    line(&["POST", "/v1/tokens", "201", "duration_ms"]);
    line(&[
        "GET",
        "/objects/archives/{storage}/{version}/{manifest}/{file_name}",
        "200",
    ]);
    line(&["GET", "/v1/runs", "401"]);
    line(&["GET", "/sign-in/{link}", "404"]);
}
