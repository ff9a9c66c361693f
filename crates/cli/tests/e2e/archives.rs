//! Hostile uploads, unknown names and bad configurations: the documented error, and nothing left.

use serde_json::{Value, json};
use tar::EntryType;
use vm0_testkit::{Server, archive};

use crate::sandboxes::options;

/// Files below the data directory's objects, without those of upload sessions.
fn objects(server: &Server) -> Vec<String> {
    let output = std::process::Command::new("find")
        .arg(server.data_dir().join("objects"))
        .args(["-type", "f", "-not", "-path", "*/uploads/*"])
        .output()
        .expect("find runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_archive_is_refused_and_leaves_nothing() {
    let server = options("runc").arg("--no-runner").start();
    let api = server.api();
    let id = api.storage("volumes", "hostile").await;
    let hash = archive::sha256_hex(b"hello\n");
    let declared = json!([{ "path": "a.txt", "size": 6, "hash": hash }]);
    let raw = |path, kind, link, bytes: &[u8]| archive::tar_gz_raw(path, kind, link, bytes);
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        (
            "traversal",
            raw("../a.txt", EntryType::Regular, None, b"hello\n"),
        ),
        (
            "inner traversal",
            raw("b/../../a.txt", EntryType::Regular, None, b"hello\n"),
        ),
        (
            "absolute",
            raw("/a.txt", EntryType::Regular, None, b"hello\n"),
        ),
        (
            "link out",
            raw("a.txt", EntryType::Symlink, Some("/etc/passwd"), b""),
        ),
        (
            "hard link out",
            raw("a.txt", EntryType::Link, Some("../../etc/passwd"), b""),
        ),
        ("device", raw("a.txt", EntryType::Char, None, b"")),
        ("pipe", raw("a.txt", EntryType::Fifo, None, b"")),
        (
            "undeclared",
            archive::tar_gz(&[("a.txt", b"hello\n"), ("b.txt", b"x")]),
        ),
        (
            "twice",
            archive::tar_gz(&[("a.txt", b"hello\n"), ("a.txt", b"hello\n")]),
        ),
        ("other content", archive::tar_gz(&[("a.txt", b"jello\n")])),
        (
            "other size",
            archive::tar_gz(&[("a.txt", b"hello, world\n")]),
        ),
        ("absent", archive::tar_gz(&[])),
        ("no archive", b"not an archive at all".to_vec()),
        (
            "cut off",
            archive::tar_gz(&[("a.txt", b"hello\n")])[..40].to_vec(),
        ),
        ("bomb", archive::gzip(&vec![0; 64 << 20])),
    ];
    for (name, bytes) in hostile {
        let answer = api.push_archive("volumes", &id, &declared, bytes).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "upload_invalid"),
            "{name}: {}",
            answer.body
        );
        assert_eq!(
            objects(&server),
            Vec::<String>::new(),
            "{name} left something"
        );
    }
    let head = api.get(&format!("/v1/volumes/{id}")).await.expect(200);
    assert_eq!(head["current_version_id"], Value::Null);
    let good = api.push("volumes", &id, &[("a.txt", b"hello\n")]).await;
    assert_eq!(good["file_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_over_the_limit_is_refused_when_it_is_declared() {
    let server = options("runc").arg("--no-runner").start();
    let api = server.api();
    let id = api.storage("volumes", "big").await;
    let files = json!([{ "path": "a", "size": 4_u64 << 30 }, { "path": "b", "size": 1 }]);
    let answer = api
        .post(
            &format!("/v1/volumes/{id}/upload"),
            &json!({ "files": files }),
        )
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (413, "payload_too_large"),
        "{}",
        answer.body
    );
    assert_eq!(answer.body["error"]["param"], "files");
    for path in ["../x", "/x", "a//b", "a/./b", "", "a\0b"] {
        let files = json!([{ "path": path, "size": 1 }]);
        let answer = api
            .post(
                &format!("/v1/volumes/{id}/upload"),
                &json!({ "files": files }),
            )
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_parameter"),
            "{path}"
        );
        assert_eq!(answer.body["error"]["param"], "files.0.path");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_an_unknown_agent_is_the_documented_error() {
    let server = options("runc").arg("--no-runner").start();
    let answer = server
        .api()
        .post("/v1/runs", &json!({ "agent": "my-agent", "prompt": "x" }))
        .await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        json!({ "error": { "type": "not_found_error", "code": "resource_not_found",
                           "message": "No such agent: 'my-agent'", "param": "agent" } })
    );
    assert!(
        answer.headers["x-request-id"]
            .to_str()
            .expect("text")
            .starts_with("req_")
    );
    assert_eq!(answer.headers["x-api-version"], "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_names_the_fault_and_stores_nothing() {
    let server = options("runc").arg("--no-runner").start();
    let api = server.api();
    let bad = [
        (
            json!({ "version": "1.0", "agents": { "my-agent": { "framwork": "shell" } } }),
            "config.agents.my-agent.framwork",
            "agents.my-agent.framwork: unknown key 'framwork'; did you mean 'framework'?",
        ),
        (
            json!({ "version": 1, "agents": { "my-agent": {} } }),
            "config.version",
            "version: must be a string; write version: \"1.0\"",
        ),
        (
            json!({ "version": "1.0", "agents": { "my-agent": { "timeout_seconds": 0 } } }),
            "config.agents.my-agent.timeout_seconds",
            "agents.my-agent.timeout_seconds: must be between 1 and 86400",
        ),
    ];
    for (config, param, message) in bad {
        let answer = api.post("/v1/agents", &json!({ "config": config })).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_parameter"));
        assert_eq!(answer.body["error"]["param"], param);
        assert_eq!(answer.body["error"]["message"], message);
    }
    assert_eq!(api.get("/v1/agents").await.expect(200)["data"], json!([]));
}
