//! How runs end that do not succeed, and what is left of them.

use std::time::Duration;

use serde_json::json;
use vm0_testkit::host;

use crate::sandboxes::{options, server};

crate::on_each_sandbox!(
    a_cancelled_run_leaves_no_process_and_keeps_its_files,
    a_pending_run_is_cancelled_without_a_sandbox,
    a_deadline_ends_the_run_as_timeout,
    a_failing_agent_gives_its_stderr_and_its_files,
    an_agent_that_is_killed_ends_with_its_signal,
    a_missing_program_is_named,
    a_missing_image_is_named,
    a_stopped_server_fails_its_runs_and_keeps_their_files,
    a_run_without_changes_salvages_nothing,
);

const LIMIT: Duration = Duration::from_secs(60);

async fn a_cancelled_run_leaves_no_process_and_keeps_its_files(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("sleeper").await;
    let prompt = "echo kept > file; (setsid sleep 4321 &) ; echo ready; sleep 4321";
    let id = api
        .run(&json!({ "agent": "sleeper", "prompt": prompt, "artifact_name": "w" }))
        .await;
    api.run_event(&id, |event| event["text"] == "ready").await;
    let cancelled = api
        .post(&format!("/v1/runs/{id}/cancel"), &json!({}))
        .await
        .expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["error"], serde_json::Value::Null);
    let again = api.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await;
    assert_eq!((again.status, again.code()), (400, "invalid_state"));
    let salvaged = host::eventually(LIMIT, || async {
        let run = api.get(&format!("/v1/runs/{id}")).await.expect(200);
        run["salvaged_artifact_version"].as_str().map(str::to_owned)
    })
    .await;
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
    assert_eq!(host::processes_with("4321"), Vec::<String>::new());
    let artifact = api.storage_id("artifacts", "w").await;
    assert_eq!(
        api.download("artifacts", &artifact, Some(&salvaged)).await["file"],
        b"kept\n"
    );
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["exit_code"], serde_json::Value::Null);
    let head = api
        .get(&format!("/v1/artifacts/{artifact}"))
        .await
        .expect(200);
    assert_eq!(head["current_version_id"], serde_json::Value::Null);
}

async fn a_pending_run_is_cancelled_without_a_sandbox(kind: &str) {
    let server = options(kind).arg("--slots").arg("1").start();
    let api = server.api();
    api.shell_agent("sleeper").await;
    let first = api
        .run(&json!({ "agent": "sleeper", "prompt": "echo ready; sleep 600" }))
        .await;
    api.run_event(&first, |event| event["text"] == "ready")
        .await;
    let second = api
        .run(&json!({ "agent": "sleeper", "prompt": "echo never" }))
        .await;
    let cancelled = api
        .post(&format!("/v1/runs/{second}/cancel"), &json!({}))
        .await
        .expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["started_at"], serde_json::Value::Null);
    api.post(&format!("/v1/runs/{first}/cancel"), &json!({}))
        .await
        .expect(200);
    let third = api
        .run_to_end(&json!({ "agent": "sleeper", "prompt": "echo next" }))
        .await;
    assert_eq!(third["output"], "next");
}

async fn a_deadline_ends_the_run_as_timeout(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("sleeper").await;
    let body = json!({ "agent": "sleeper", "prompt": "echo partial > file; sleep 600",
                       "timeout_seconds": 3, "artifact_name": "w" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "timeout", "{run}");
    assert_eq!(run["error"], "run exceeded 3 s");
    assert_eq!(run["exit_code"], serde_json::Value::Null);
    assert!(run["execution_time_ms"].as_i64().expect("a duration") >= 3000);
    let salvaged = run["salvaged_artifact_version"]
        .as_str()
        .expect("the files are kept")
        .to_owned();
    let artifact = api.storage_id("artifacts", "w").await;
    assert_eq!(
        api.download("artifacts", &artifact, Some(&salvaged)).await["file"],
        b"partial\n"
    );
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
}

async fn a_failing_agent_gives_its_stderr_and_its_files(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("failer").await;
    let prompt = "echo half > file; printf '\\033[31mno such\\033[0m\\n  thing  \\n' >&2; exit 7";
    let body = json!({ "agent": "failer", "prompt": prompt, "artifact_name": "w" });
    let run = api.run_to_end(&body).await;
    assert_eq!(run["status"], "failed");
    assert_eq!(run["error"], "no such thing");
    assert_eq!(run["exit_code"], 7);
    assert_eq!(run["artifact_version"], serde_json::Value::Null);
    assert_eq!(run["checkpoint_id"], serde_json::Value::Null);
    let salvaged = run["salvaged_artifact_version"]
        .as_str()
        .expect("the files are kept")
        .to_owned();
    let artifact = api.storage_id("artifacts", "w").await;
    let versions = api
        .get(&format!("/v1/artifacts/{artifact}/versions"))
        .await
        .expect(200);
    assert_eq!(versions["data"][0]["id"], salvaged.as_str());
    assert_eq!(versions["data"][0]["salvaged"], true);
    let silent = api
        .run_to_end(&json!({ "agent": "failer", "prompt": "exit 9" }))
        .await;
    assert_eq!(silent["error"], "Agent exited with code 9");
    let failed = api
        .run_to_end(&json!({ "agent": "failer", "prompt": "@fail:told to" }))
        .await;
    assert_eq!(failed["error"], "told to");
    assert_eq!(failed["exit_code"], 1);
}

async fn an_agent_that_is_killed_ends_with_its_signal(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "killer": { "framework": "custom",
        "command": ["sh", "-c", "{prompt}"] } } });
    api.agent(&config).await;
    let run = api
        .run_to_end(&json!({ "agent": "killer", "prompt": "kill -9 $$" }))
        .await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["exit_code"], 137);
    assert_eq!(run["error"], "Agent exited with code 137");
}

async fn a_missing_program_is_named(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0",
        "agents": { "absent": { "framework": "opencode", "image": "host" } } });
    api.agent(&config).await;
    let run = api
        .run_to_end(&json!({ "agent": "absent", "prompt": "hello" }))
        .await;
    assert_eq!(run["status"], "failed");
    let error = run["error"].as_str().expect("an error");
    assert!(
        error.starts_with("[prepare] program 'opencode' is not in image 'host'"),
        "{error}"
    );
}

async fn a_missing_image_is_named(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0",
        "agents": { "absent": { "framework": "shell", "image": "acme/none:1" } } });
    api.agent(&config).await;
    let run = api
        .run_to_end(&json!({ "agent": "absent", "prompt": "hello" }))
        .await;
    let error = run["error"].as_str().expect("an error");
    assert!(
        error.starts_with("[prepare] image 'acme/none:1' is not on this runner"),
        "{error}"
    );
}

async fn a_stopped_server_fails_its_runs_and_keeps_their_files(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    api.shell_agent("sleeper").await;
    let prompt = "echo kept > file; echo ready; sleep 600";
    let id = api
        .run(&json!({ "agent": "sleeper", "prompt": prompt, "artifact_name": "w" }))
        .await;
    api.run_event(&id, |event| event["text"] == "ready").await;
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
    server.restart();
    let api = server.api();
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "failed");
    assert_eq!(run["error"], "[run] the runner was stopped");
    let salvaged = run["salvaged_artifact_version"]
        .as_str()
        .expect("the files are kept")
        .to_owned();
    let artifact = api.storage_id("artifacts", "w").await;
    assert_eq!(
        api.download("artifacts", &artifact, Some(&salvaged)).await["file"],
        b"kept\n"
    );
}

async fn a_run_without_changes_salvages_nothing(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let body = |prompt: &str| json!({ "agent": "worker", "prompt": prompt, "artifact_name": "w" });
    let first = api.run_to_end(&body("echo 1 > file")).await;
    assert_eq!(first["status"], "completed");
    let second = api.run_to_end(&body("cat file; exit 1")).await;
    assert_eq!(second["status"], "failed");
    assert_eq!(second["salvaged_artifact_version"], serde_json::Value::Null);
}
