//! Runs of a server that speaks TLS: its own runner reaches it all the same.

use std::fs;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use vm0_testkit::host;

use crate::sandboxes::options;

crate::on_each_sandbox!(a_run_of_a_server_with_a_certificate_ends_as_any_other);

const LIMIT: Duration = Duration::from_secs(60);

const AGENT: &str = "{version: \"1.0\", agents: {caller: {framework: shell}}}";

async fn a_run_of_a_server_with_a_certificate_ends_as_any_other(kind: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let made = made.expect("a certificate");
    fs::write(path("cert.pem"), made.cert.pem()).expect("a file");
    fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(path("vm0.yaml"), AGENT).expect("a file");
    let server = options(kind)
        .arg("--tls-cert")
        .arg(path("cert.pem"))
        .arg("--tls-key")
        .arg(path("key.pem"))
        .start();
    assert!(server.url().starts_with("https://"));
    let vm0 = |args: &[&str]| {
        let mut command = server.client(home.path(), args);
        let output = command.env("VM0_CA_FILE", path("cert.pem")).output();
        let output = output.expect("vm0 runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    };
    vm0(&["compose", "vm0.yaml"]);
    let run = vm0(&["run", "caller", "echo over the wire", "--json"]);
    assert!(run.contains("over the wire"), "{run}");
    assert!(run.contains("\"completed\""), "{run}");
    // A command in a sandbox is a WebSocket over the same TLS.
    let id = vm0(&["run", "caller", "sleep 600", "-d"]);
    let exec = |trusted: bool| -> Output {
        let script = "cat; echo err >&2; exit 7";
        let mut command = server.client(
            home.path(),
            &["exec", id.trim(), "-i", "--", "sh", "-c", script],
        );
        if trusted {
            command.env("VM0_CA_FILE", path("cert.pem"));
        }
        command.stdin(fs::File::open(path("vm0.yaml")).expect("a file"));
        command.output().expect("vm0 runs")
    };
    let output = host::eventually(LIMIT, || async {
        let output = exec(true);
        let shown: Value =
            serde_json::from_str(&vm0(&["run", "show", id.trim(), "--json"])).expect("JSON");
        (shown["status"] == "running" && output.status.code() == Some(7)).then_some(output)
    })
    .await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        (AGENT.to_owned(), "err\n".to_owned())
    );
    let stranger = exec(false);
    assert_eq!(
        stranger.status.code(),
        Some(8),
        "{}",
        text(&stranger.stderr)
    );
    vm0(&["run", "kill", id.trim()]);
}
