//! `kill -9` of the server in each phase of a run: afterwards no run is stuck, nothing is left on
//! the host, no acknowledged event is lost, and the run's files are there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vm0_testkit::{Api, Server, host};

use crate::sandboxes::server;

crate::on_each_sandbox!(
    killed_while_preparing,
    killed_while_booting,
    killed_while_the_agent_runs,
    killed_while_saving_the_checkpoint,
    killed_after_the_end,
    killed_with_a_pending_run,
    killed_again_and_again,
);

const LIMIT: Duration = Duration::from_secs(120);

/// Waits until the system log of a run mentions `text`.
async fn logged(api: &Api, id: &str, text: &str) {
    host::eventually(LIMIT, || async {
        let logs = api
            .get(&format!("/v1/runs/{id}/logs?type=system&limit=100"))
            .await
            .expect(200);
        logs.to_string().contains(text).then_some(())
    })
    .await;
}

/// Waits until the runner has begun to make the sandbox of a run.
fn sandbox_begun(server: &Server, id: &str) {
    let dir = server
        .data_dir()
        .join(format!("runner/runs/{id}-1/sandbox"));
    let start = Instant::now();
    while !dir.exists() {
        assert!(start.elapsed() < LIMIT, "no sandbox was begun");
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn outputs(api: &Api, id: &str) -> Vec<Value> {
    let page = api.events_page(id).await;
    page["data"].as_array().expect("a page").clone()
}

/// Restarts the crashed server and checks what holds after any crash.
async fn recovered(server: &mut Server, id: &str, seen: &[Value]) -> Value {
    server.restart();
    let api = server.api();
    let run = api.run_end(id, LIMIT).await;
    host::assert_nothing_left(server.data_dir(), id, LIMIT).await;
    let now = outputs(&api, id).await;
    assert!(now.len() >= seen.len(), "acknowledged events were lost");
    assert_eq!(&now[..seen.len()], seen);
    let next = api
        .run_to_end(&json!({ "agent": "worker", "prompt": "echo alive" }))
        .await;
    assert_eq!(
        next["output"], "alive",
        "the next run is not disturbed: {next}"
    );
    api.run_end(id, LIMIT).await;
    run
}

async fn killed_while_preparing(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    let volume = api.storage("volumes", "many").await;
    let contents: Vec<(String, Vec<u8>)> = (0..3000)
        .map(|n| (format!("d{}/f{n}", n % 50), vec![b'x'; 2000 + n]))
        .collect();
    let files: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    api.push("volumes", &volume, &files).await;
    api.agent(
        &json!({ "version": "1.0", "agents": { "worker": { "framework": "shell",
        "volumes": ["many:/home/user/many"] } }, "volumes": { "many": { "name": "many" } } }),
    )
    .await;
    let prompt = "find ../many -type f | wc -l";
    let id = api
        .run(&json!({ "agent": "worker", "prompt": prompt, "artifact_name": "w" }))
        .await;
    host::eventually(LIMIT, || async {
        let run = api.get(&format!("/v1/runs/{id}")).await.expect(200);
        (run["status"] != "pending").then_some(())
    })
    .await;
    server.crash();
    let run = recovered(&mut server, &id, &[]).await;
    assert!(
        matches!(run["status"].as_str(), Some("failed" | "completed")),
        "{run}"
    );
    let again = server
        .api()
        .run_to_end(&json!({ "agent": "worker", "prompt": prompt }))
        .await;
    assert_eq!(
        again["output"], "3000",
        "a half-made tree is not used: {again}"
    );
}

async fn killed_while_booting(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let body =
        json!({ "agent": "worker", "prompt": "echo x > f; sleep 600", "artifact_name": "w" });
    let id = api.run(&body).await;
    sandbox_begun(&server, &id);
    server.crash();
    let run = recovered(&mut server, &id, &[]).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "[run] the runner was stopped");
}

async fn killed_while_the_agent_runs(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let prompt = "echo kept > file; for i in $(seq 20); do echo line $i; done; sleep 600";
    let id = api
        .run(&json!({ "agent": "worker", "prompt": prompt, "artifact_name": "w" }))
        .await;
    api.run_event(&id, |event| event["text"] == "line 20").await;
    let seen = outputs(&api, &id).await;
    assert_eq!(seen.len(), 23);
    server.crash();
    let run = recovered(&mut server, &id, &seen).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "[run] the runner was stopped");
    let api = server.api();
    let salvaged = host::eventually(LIMIT, || async {
        let run = api.get(&format!("/v1/runs/{id}")).await.expect(200);
        run["salvaged_artifact_version"].as_str().map(str::to_owned)
    })
    .await;
    let artifact = api.storage_id("artifacts", "w").await;
    assert_eq!(
        api.download("artifacts", &artifact, Some(&salvaged)).await["file"],
        b"kept\n"
    );
}

async fn killed_while_saving_the_checkpoint(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let prompt = "for i in 1 2 3 4; do head -c 60M /dev/urandom > big$i; done; echo kept > file";
    let id = api
        .run(&json!({ "agent": "worker", "prompt": prompt, "artifact_name": "w" }))
        .await;
    logged(&api, &id, "[sandbox:checkpoint]").await;
    server.crash();
    let run = recovered(&mut server, &id, &[]).await;
    let version = match run["status"].as_str() {
        Some("completed") => run["artifact_version"].as_str().map(str::to_owned),
        _ => {
            let api = server.api();
            Some(
                host::eventually(LIMIT, || async {
                    let run = api.get(&format!("/v1/runs/{id}")).await.expect(200);
                    run["salvaged_artifact_version"].as_str().map(str::to_owned)
                })
                .await,
            )
        }
    };
    let api = server.api();
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api
        .download("artifacts", &artifact, version.as_deref())
        .await;
    assert_eq!(files["file"], b"kept\n");
    assert_eq!(files.len(), 5);
    assert!(
        files
            .iter()
            .all(|(path, bytes)| path == "file" || bytes.len() == 60 << 20)
    );
}

async fn killed_after_the_end(kind: &str) {
    let mut server = server(kind);
    let api = server.api();
    api.shell_agent("worker").await;
    let body = json!({ "agent": "worker", "prompt": "echo kept > file", "artifact_name": "w" });
    let id = api.run(&body).await;
    let before = api.run_end(&id, LIMIT).await;
    server.crash();
    let run = recovered(&mut server, &id, &[]).await;
    assert_eq!(run, before, "a finished run stays as it is");
    let api = server.api();
    let artifact = api.storage_id("artifacts", "w").await;
    assert_eq!(
        api.download("artifacts", &artifact, None).await["file"],
        b"kept\n"
    );
}

async fn killed_with_a_pending_run(kind: &str) {
    let mut server = crate::sandboxes::options(kind)
        .arg("--slots")
        .arg("1")
        .start();
    let api = server.api();
    api.shell_agent("worker").await;
    let first = api
        .run(&json!({ "agent": "worker", "prompt": "echo ready; sleep 600" }))
        .await;
    api.run_event(&first, |event| event["text"] == "ready")
        .await;
    let second = api
        .run(&json!({ "agent": "worker", "prompt": "echo waited" }))
        .await;
    server.crash();
    server.restart();
    let run = server.api().run_end(&second, LIMIT).await;
    assert_eq!(
        run["output"], "waited",
        "a pending run stays pending and then runs: {run}"
    );
}

async fn killed_again_and_again(kind: &str) {
    let mut server = server(kind);
    server.api().shell_agent("worker").await;
    let mut ids = Vec::new();
    for round in 0..6_u64 {
        let api = server.api();
        let prompt = "for i in $(seq 50); do echo $i; sleep 0.01; done";
        let body = json!({ "agent": "worker", "prompt": prompt, "artifact_name": "w" });
        ids.push(api.run(&body).await);
        tokio::time::sleep(Duration::from_millis(60 + 130 * round)).await;
        server.crash_and_restart();
    }
    let api = server.api();
    for id in ids {
        let run = api.run_end(&id, LIMIT).await;
        assert_ne!(run["status"], "timeout", "{run}");
        host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
        let events = outputs(&api, &id).await;
        let sequences = events
            .iter()
            .map(|event| event["sequence"].as_u64().expect("a number"));
        assert!(sequences.eq(1..=events.len() as u64));
    }
}
