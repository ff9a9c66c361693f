//! What an agent may use up: its own share, nothing of the host.

use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::{Api, host};

use crate::sandboxes::server;

crate::on_each_sandbox!(
    a_fork_bomb_stays_inside,
    a_memory_bomb_ends_the_agent,
    a_full_disk_is_enospc_inside,
    open_files_are_bounded,
    a_gigabyte_of_output_is_bounded,
    a_long_line_is_cut_and_marked,
    processes_left_behind_do_not_hold_the_run,
);

const LIMIT: Duration = Duration::from_secs(180);

async fn limited(api: &Api, resources: Value) {
    let config = json!({ "version": "1.0", "agents": { "hungry": {
        "framework": "shell", "resources": resources } } });
    api.agent(&config).await;
}

async fn a_fork_bomb_stays_inside(kind: &str) {
    let server = server(kind);
    let api = server.api();
    limited(&api, json!({ "pids": 64, "memory_mb": 512 })).await;
    let prompt = "n=0; while [ $n -lt 400 ]; do sleep 300 & n=$((n+1)); done 2>/dev/null; \
                  jobs -p | wc -l";
    let body = json!({ "agent": "hungry", "prompt": prompt, "timeout_seconds": 60 });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert!(run["status"] != "completed" || started(&run) < 100, "{run}");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
    let next = api
        .run_to_end(&json!({ "agent": "hungry", "prompt": "echo alive" }))
        .await;
    assert_eq!(next["output"], "alive");
}

fn started(run: &Value) -> u64 {
    run["output"]
        .as_str()
        .and_then(|text| text.lines().last()?.trim().parse().ok())
        .unwrap_or(u64::MAX)
}

async fn a_memory_bomb_ends_the_agent(kind: &str) {
    let server = server(kind);
    let api = server.api();
    limited(&api, json!({ "memory_mb": 256 })).await;
    let prompt = "python3 -c 'b = bytearray(2 << 30); print(len(b))'; echo survived $?; exit 1";
    let bomb = "python3 -c 'x = []\nwhile True: x.append(bytearray(b\"x\" * (16 << 20)))'";
    let id = api
        .run(&json!({ "agent": "hungry", "prompt": format!("{bomb}\n{prompt}") }))
        .await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"], "agent ran out of memory (limit 256 MB)");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
}

async fn a_full_disk_is_enospc_inside(kind: &str) {
    let server = server(kind);
    let api = server.api();
    limited(&api, json!({ "disk_mb": 64 })).await;
    let prompt = "error=$(head -c 200M /dev/zero 2>&1 >big); head -c 50M /dev/zero >/tmp/more; \
                  echo \"$error\"; du -sm . | cut -f1; rm big /tmp/more; echo room > small; cat small";
    let run = api
        .run_to_end(&json!({ "agent": "hungry", "prompt": prompt, "artifact_name": "w" }))
        .await;
    assert_eq!(run["status"], "completed", "{run}");
    let output = run["output"].as_str().expect("an output");
    assert!(output.contains("No space left on device"), "{output}");
    let used = output
        .lines()
        .filter_map(|line| line.parse::<u64>().ok())
        .next()
        .expect("a size");
    assert!(used <= 70, "what is granted and little more: {output}");
    assert!(output.ends_with("room"), "{output}");
}

async fn open_files_are_bounded(kind: &str) {
    let server = server(kind);
    let api = server.api();
    limited(&api, json!({ "memory_mb": 1024 })).await;
    let prompt = "python3 -c '
f = []
try:
    while len(f) < 100000: f.append(open(\"/dev/null\"))
    print(\"unbounded\")
except OSError as e: print(\"bounded\", len(f) <= 65536)'";
    let run = api
        .run_to_end(&json!({ "agent": "hungry", "prompt": prompt }))
        .await;
    assert_eq!(run["output"], "bounded True", "{run}");
}

async fn a_gigabyte_of_output_is_bounded(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let config = json!({ "version": "1.0", "agents": { "flood": { "framework": "custom",
        "command": ["sh", "-c", "head -c 50M /dev/zero | tr '\\0' x | fold -w 100000; echo; \
                     head -c 1G /dev/zero | tr '\\0' y; echo; echo {prompt}"] } } });
    api.agent(&config).await;
    let before = server_memory(&server);
    let id = api.run(&json!({ "agent": "flood", "prompt": "end" })).await;
    let run = api.run_end(&id, Duration::from_secs(540)).await;
    assert_eq!(run["status"], "completed", "{}", run["error"]);
    assert!(run["output"].as_str().expect("an output").len() <= 1 << 20);
    let grown = server_memory(&server).saturating_sub(before);
    assert!(grown < 512 << 20, "the server grew by {grown} bytes");
}

fn server_memory(server: &vm0_testkit::Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    let kib: u64 = peak
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kib << 10
}

async fn a_long_line_is_cut_and_marked(kind: &str) {
    let server = server(kind);
    let api = server.api();
    let code = "import json; print(json.dumps({\"type\": \"message\", \"text\": \"y\" * (3 << 20)})); \
                print(json.dumps({\"type\": \"result\", \"result\": \"ok\"}))";
    let config = json!({ "version": "1.0", "agents": { "wordy": { "framework": "custom",
        "command": ["python3", "-c", code, "{prompt}"] } } });
    api.agent(&config).await;
    let id = api.run(&json!({ "agent": "wordy", "prompt": "x" })).await;
    let outputs = api.events(&id, None).await.outputs().await;
    let text = outputs[0]["data"]["text"].as_str().expect("a text");
    assert!(
        text.len() <= 1 << 20 && text.ends_with(" bytes left out]"),
        "{}",
        text.len()
    );
    assert_eq!(api.run_end(&id, LIMIT).await["output"], "ok");
}

async fn processes_left_behind_do_not_hold_the_run(kind: &str) {
    let server = server(kind);
    let api = server.api();
    limited(&api, json!({ "pids": 128 })).await;
    let prompt = "(setsid sh -c 'while :; do sleep 1; done' &) ; sleep 7654 & echo started";
    let id = api
        .run(&json!({ "agent": "hungry", "prompt": prompt }))
        .await;
    let run = api.run_end(&id, Duration::from_secs(60)).await;
    assert_eq!(run["status"], "completed", "{run}");
    host::assert_nothing_left(server.data_dir(), &id, LIMIT).await;
    assert_eq!(host::processes_with("sleep 7654"), Vec::<String>::new());
}
