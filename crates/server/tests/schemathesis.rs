//! The description of the API put to the test: schemathesis makes requests of it, good ones and bad
//! ones, and compares every answer of a running server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use vm0_server::{RunningServer, Server, ServerConfig, TokenFor, TokenRequest, token_create};

/// Requests of each kind and operation.
const EXAMPLES: &str = "10";
/// An operation that answers slower has failed.
const REQUEST_TIMEOUT_SECONDS: &str = "10";
/// A request that is well formed may still name what does not exist.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// Where `make setup` installs it.
fn schemathesis() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = root.join("target/schemathesis/bin/schemathesis");
    installed.exists().then_some(installed)
}

async fn start(directory: &Path) -> (RunningServer, String) {
    let mut config = ServerConfig::new(directory.to_owned(), "127.0.0.1:0".parse().unwrap());
    config.auth_failures_max = u32::MAX;
    let server = Server::start(config).await.unwrap();
    let owner = TokenFor::User("ada".to_owned());
    let request = TokenRequest {
        owner,
        label: "schemathesis".to_owned(),
        expires_in_days: 1,
    };
    let token = token_create(directory, request).await.unwrap();
    (server, token)
}

/// Makes one thing of each kind, and gives the settings by which requests name them.
async fn fill(server: &RunningServer, token: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, body: Value| -> String {
        let url = format!("{}{path}", server.url());
        let request = http.post(url).bearer_auth(token).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path} {}", answer.status());
        let made: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        made["id"].as_str().unwrap().to_owned()
    };
    let config = json!({ "version": "1.0", "agents": { "probe": { "framework": "shell" } } });
    let agent = post("/v1/agents", json!({ "config": config })).await;
    let run = post("/v1/runs", json!({ "agent": "probe", "prompt": "true" })).await;
    // The event stream of a run that has ended ends too.
    post(&format!("/v1/runs/{run}/cancel"), json!({})).await;
    let volume = post("/v1/volumes", json!({ "name": "probe" })).await;
    let artifact = post("/v1/artifacts", json!({ "name": "probe" })).await;
    // A token of its own, so that it does not delete the one in use.
    let spare = post("/v1/tokens", json!({ "name": "spare" })).await;
    let kept = "exclude-method = \"DELETE\"\n";
    let known = [
        ("agents", kept, agent),
        ("runs", kept, run),
        ("volumes", kept, volume),
        ("artifacts", kept, artifact),
        ("tokens", "", spare),
    ];
    let setting = |(kind, kept, id)| {
        format!(
            "[[operations]]\ninclude-path-regex = \"^/v1/{kind}/.*\"\n{kept}\
             parameters = {{ \"path.id\" = \"{id}\" }}\n"
        )
    };
    let settings = known.map(setting).concat();
    // `limit` and `cursor` are those of the page, not of the stream.
    settings
        + "[[operations]]\ninclude-operation-id = \"run_events\"\n\
           checks.negative_data_rejection.enabled = false\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_can_be_made_of_the_document_gets_an_answer_it_does_not_describe() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(schemathesis) = schemathesis() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "schemathesis is not installed: run 'make setup'"
        );
        eprintln!("skipped: schemathesis is not installed; 'make setup' installs it");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (server, token) = start(&directory.path().join("data")).await;
    let settings = fill(&server, &token).await;
    std::fs::write(directory.path().join("schemathesis.toml"), settings).unwrap();
    let mut command = Command::new(schemathesis);
    command
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES])
        .args(["--request-timeout", REQUEST_TIMEOUT_SECONDS])
        .args(["--exclude-checks", NOT_CHECKED])
        .arg("--generation-deterministic")
        .args([
            "--continue-on-failure",
            "--no-color",
            "--max-redirects",
            "0",
        ])
        .current_dir(directory.path())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    server.stop().await;
}
