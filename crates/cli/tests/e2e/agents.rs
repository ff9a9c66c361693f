//! The real Claude Code, Codex, Gemini CLI and opencode, unmodified, against the scripted model
//! server.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::{ModelServer, Server};

use crate::sandboxes::{options, vm0};

crate::on_each_sandbox!(
    claude_code_writes_a_file_and_continues_its_session,
    codex_writes_a_file_and_continues_its_session,
    gemini_writes_a_file_and_continues_its_session,
    opencode_writes_a_file_and_continues_its_session,
    a_model_that_is_not_allowed_is_not_reached,
    the_walk_through_of_the_specification_works_as_it_stands,
);

const LIMIT: Duration = Duration::from_secs(90);

/// The image store that all tests share, with the image of `framework` in it. The first test
/// builds it, as an operator would; a lock file lets the others wait.
pub(crate) fn images(framework: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let root = BUILT.get_or_init(|| {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-images");
        let root =
            std::env::var_os("VM0_TEST_IMAGES").map_or_else(|| default.into(), PathBuf::from);
        std::fs::create_dir_all(&root).expect("the directory for test images is writable");
        root.canonicalize().expect("it exists")
    });
    let lock = std::fs::File::create(root.join("lock")).expect("a lock file");
    lock.lock()
        .expect("the lock is released by its holder's end");
    let list = vm0(root, &["image", "list", "--json"]);
    if !list.contains(&format!("vm0/{framework}")) {
        vm0(root, &["image", "build", framework]);
    }
    root.clone()
}

pub(crate) fn server(kind: &str, framework: &str, model: &ModelServer) -> Server {
    let images = images(framework);
    options(kind)
        .link("runner/images", images.join("runner/images"))
        .arg("--allow-private")
        .arg(format!("127.0.0.1/32:{}", model.port()))
        .start()
}

async fn claude_code_writes_a_file_and_continues_its_session(kind: &str) {
    let model = ModelServer::start().await;
    let server = server(kind, "claude-code", &model);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "claude-code",
        "environment": { "ANTHROPIC_API_KEY": "${{ secrets.ANTHROPIC_API_KEY }}",
                         "ANTHROPIC_BASE_URL": model.url_inside() } } } });
    api.agent(&config).await;
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo from claude > made.txt]RUN",
        "secrets": { "ANTHROPIC_API_KEY": "sk-ant-api03-test-key-0123456789" },
        "artifact_name": "w" });
    let session = first_run(&api, &body, b"from claude\n").await;
    let prompt = "and now RUN[cat made.txt > copy.txt]RUN";
    let again = json!({ "session_id": session, "prompt": prompt,
        "secrets": { "ANTHROPIC_API_KEY": "sk-ant-api03-test-key-0123456789" } });
    let run = second_run(&api, &model, &again, "echo from claude").await;
    assert_eq!(run["usage"]["output_tokens"], 80, "{run}");
    let keys: Vec<_> = model
        .requests_with("RUN[")
        .into_iter()
        .map(|r| r.credential)
        .collect();
    assert!(
        keys.iter()
            .all(|key| key.as_deref() == Some("sk-ant-api03-test-key-0123456789"))
    );
}

async fn codex_writes_a_file_and_continues_its_session(kind: &str) {
    let model = ModelServer::start().await;
    let server = server(kind, "codex", &model);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "codex",
        "environment": { "OPENAI_API_KEY": "${{ secrets.OPENAI_API_KEY }}",
                         "OPENAI_MODEL": "scripted",
                         "OPENAI_BASE_URL": format!("{}/v1", model.url_inside()) } } } });
    api.agent(&config).await;
    let secrets = json!({ "OPENAI_API_KEY": "sk-proj-test-key-0123456789" });
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo from codex > made.txt]RUN",
        "secrets": secrets, "artifact_name": "w" });
    let session = first_run(&api, &body, b"from codex\n").await;
    let prompt = "and now RUN[cat made.txt > copy.txt]RUN";
    let again = json!({ "session_id": session, "prompt": prompt, "secrets": secrets });
    let run = second_run(&api, &model, &again, "echo from codex").await;
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 200, "output_tokens": 80, "cost_usd": null })
    );
}

async fn gemini_writes_a_file_and_continues_its_session(kind: &str) {
    let model = ModelServer::start().await;
    let server = server(kind, "gemini-cli", &model);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "gemini-cli",
        "environment": { "GEMINI_API_KEY": "${{ secrets.GEMINI_API_KEY }}",
                         "GEMINI_MODEL": "gemini-2.5-flash",
                         "GOOGLE_GEMINI_BASE_URL": model.url_inside() } } } });
    api.agent(&config).await;
    let secrets = json!({ "GEMINI_API_KEY": "AIza-test-key-0123456789" });
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo from gemini > made.txt]RUN",
        "secrets": secrets, "artifact_name": "w" });
    let session = first_run(&api, &body, b"from gemini\n").await;
    let prompt = "and now RUN[cat made.txt > copy.txt]RUN";
    let again = json!({ "session_id": session, "prompt": prompt, "secrets": secrets });
    let run = second_run(&api, &model, &again, "echo from gemini").await;
    assert_eq!(
        run["usage"],
        json!({ "input_tokens": 200, "output_tokens": 80, "cost_usd": null })
    );
    let keys = model.requests_with("RUN[").into_iter();
    assert!(
        keys.map(|request| request.credential)
            .all(|key| key.as_deref() == Some("AIza-test-key-0123456789"))
    );
}

async fn opencode_writes_a_file_and_continues_its_session(kind: &str) {
    let model = ModelServer::start().await;
    let server = server(kind, "opencode", &model);
    let api = server.api();
    let settings = json!({
        "model": "anthropic/claude-sonnet-4-5",
        "provider": { "anthropic": { "options": {
            "baseURL": format!("{}/v1", model.url_inside()) } } },
    });
    let rules = json!([
        { "domain": "host.vm0.internal", "ports": [model.port()], "action": "allow" }
    ]);
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "opencode",
        "network": { "mode": "allowlist", "rules": rules },
        "environment": { "ANTHROPIC_API_KEY": "${{ secrets.ANTHROPIC_API_KEY }}",
                         "ANTHROPIC_BASE_URL": format!("{}/v1", model.url_inside()),
                         "OPENCODE_DISABLE_MODELS_FETCH": "1",
                         "OPENCODE_CONFIG_CONTENT": settings.to_string() } } } });
    api.agent(&config).await;
    let secrets = json!({ "ANTHROPIC_API_KEY": "sk-ant-api03-test-key-0123456789" });
    let body = json!({ "agent": "writer", "prompt": "please RUN[echo from opencode > made.txt]RUN",
        "secrets": secrets, "artifact_name": "w" });
    let session = first_run(&api, &body, b"from opencode\n").await;
    let prompt = "and now RUN[cat made.txt > copy.txt]RUN";
    let again = json!({ "session_id": session, "prompt": prompt, "secrets": secrets });
    let run = second_run(&api, &model, &again, "echo from opencode").await;
    assert_eq!(run["usage"]["input_tokens"], 260, "{run}");
    assert_eq!(run["usage"]["output_tokens"], 80, "{run}");
    assert!(
        run["usage"]["cost_usd"]
            .as_f64()
            .is_some_and(|cost| cost > 0.0),
        "{run}"
    );
}

async fn first_run(api: &vm0_testkit::Api, body: &Value, made: &[u8]) -> Value {
    let id = api.run(body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["output"], "turn 1 done");
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api.download("artifacts", &artifact, None).await;
    assert_eq!(files["made.txt"], made, "{:?}", files.keys());
    run["session_id"].clone()
}

async fn second_run(
    api: &vm0_testkit::Api,
    model: &ModelServer,
    body: &Value,
    earlier: &str,
) -> Value {
    let before = model.requests().len();
    let id = api.run(body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(
        run["output"], "turn 2 done",
        "the model saw the earlier turn: {run}"
    );
    let requests = model.requests().split_off(before);
    assert!(
        requests
            .iter()
            .any(|request| request.body.to_string().contains(earlier))
    );
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api.download("artifacts", &artifact, None).await;
    assert_eq!(files["copy.txt"], files["made.txt"]);
    run
}

async fn a_model_that_is_not_allowed_is_not_reached(kind: &str) {
    let model = ModelServer::start().await;
    let server = options(kind).start();
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "writer": { "framework": "shell" } } });
    api.agent(&config).await;
    let prompt = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' {}/v1/messages",
        model.url_inside()
    );
    let run = api
        .run_to_end(&json!({ "agent": "writer", "prompt": prompt }))
        .await;
    assert_eq!(run["output"], "403", "{run}");
    assert!(model.requests().is_empty());
}

async fn the_walk_through_of_the_specification_works_as_it_stands(kind: &str) {
    let model = ModelServer::start().await;
    let server = server(kind, "claude-code", &model);
    let api = server.api();
    let volume = api.storage("volumes", "input-data").await;
    api.push("volumes", &volume, &[("a.txt", b"hello\n")]).await;
    let artifact = api.storage("artifacts", "output-results").await;
    api.push("artifacts", &artifact, &[("result.txt", b"done\n")])
        .await;
    let secret = json!({ "value": "sk-ant-api03-test-key-0123456789" });
    api.put("/v1/secrets/ANTHROPIC_API_KEY", &secret)
        .await
        .expect(201);
    let directory = tempfile::tempdir().expect("a directory");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/walk_through.sh");
    let mut bash = Command::new("bash");
    bash.arg(script)
        .current_dir(directory.path())
        .env("VM0_API_URL", server.url())
        .env("VM0_API_KEY", server.token())
        .env("MODEL_URL", model.url_inside());
    let output = tokio::task::spawn_blocking(move || bash.output())
        .await
        .expect("no panic")
        .expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}
