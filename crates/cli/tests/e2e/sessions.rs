//! Conversations that go on: sessions and checkpoints.

use serde_json::json;

use crate::sandboxes::server;

crate::on_each_sandbox!(
    a_session_remembers_earlier_prompts_and_files,
    a_checkpoint_is_resumed_with_its_pinned_files,
    a_busy_session_refuses_a_second_run,
    a_run_without_history_completes_and_starts_afresh,
);

async fn a_session_remembers_earlier_prompts_and_files(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("talker").await;
    let first = api
        .run_to_end(&json!({ "agent": "talker", "prompt": "echo one > a", "artifact_name": "w" }))
        .await;
    assert_eq!(first["status"], "completed", "{first}");
    let session = &first["session_id"];
    let prompt = "cat a; echo \"before: $VM0_SHELL_HISTORY\"; echo two > a";
    let second = api
        .run_to_end(&json!({ "session_id": session, "prompt": prompt }))
        .await;
    assert_eq!(second["output"], "one\nbefore: echo one > a", "{second}");
    assert_eq!(&second["session_id"], session);
    assert_ne!(second["checkpoint_id"], first["checkpoint_id"]);
    let third = api
        .run_to_end(&json!({ "session_id": session, "prompt": "cat a; echo \"$VM0_SHELL_HISTORY\" | wc -l" }))
        .await;
    assert_eq!(third["output"], "two\n2", "{third}");
}

async fn a_checkpoint_is_resumed_with_its_pinned_files(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("talker").await;
    let first = api
        .run_to_end(&json!({ "agent": "talker", "prompt": "echo one > a", "artifact_name": "w" }))
        .await;
    let session = &first["session_id"];
    api.run_to_end(&json!({ "session_id": session, "prompt": "echo two > a" }))
        .await;
    let body = json!({ "checkpoint_id": first["checkpoint_id"], "prompt": "cat a" });
    let resumed = api.run_to_end(&body).await;
    assert_eq!(resumed["output"], "one", "{resumed}");
    assert_ne!(
        &resumed["session_id"], session,
        "a resumed run makes a session of its own"
    );
}

async fn a_busy_session_refuses_a_second_run(kind: &str) {
    let server = server(kind);
    let api = server.api();
    api.shell_agent("talker").await;
    let first = api
        .run_to_end(&json!({ "agent": "talker", "prompt": "true" }))
        .await;
    let body = json!({ "session_id": first["session_id"], "prompt": "sleep 600" });
    let running = api.run(&body).await;
    let refused = api.post("/v1/runs", &body).await;
    assert_eq!((refused.status, refused.code()), (409, "session_busy"));
    api.post(&format!("/v1/runs/{running}/cancel"), &json!({}))
        .await
        .expect(200);
    let again = json!({ "session_id": first["session_id"], "prompt": "echo free" });
    assert_eq!(api.run_to_end(&again).await["output"], "free");
}

async fn a_run_without_history_completes_and_starts_afresh(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "forgetful": { "framework": "custom",
        "command": ["echo", "new:{session_id}:{prompt}"],
        "resume_command": ["echo", "resumed:{session_id}:{prompt}"] } } });
    api.agent(&config).await;
    let first = api
        .run_to_end(&json!({ "agent": "forgetful", "prompt": "hello" }))
        .await;
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!(first["output"], "new::hello");
    assert!(first["checkpoint_id"].is_string() && first["session_id"].is_string());
    let id = first["id"].as_str().expect("an id");
    let logs = api
        .get(&format!("/v1/runs/{id}/logs?type=system&level=warn"))
        .await
        .expect(200);
    assert!(
        logs.to_string().contains("history"),
        "the system log warns: {logs}"
    );
    let body = json!({ "session_id": first["session_id"], "prompt": "again" });
    let second = api.run_to_end(&body).await;
    assert_eq!(second["output"], "new::again", "{second}");
}
