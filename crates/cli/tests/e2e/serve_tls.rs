//! Runs of a server that speaks TLS: its own runner reaches it all the same.

use std::fs;

use crate::sandboxes::options;

crate::on_each_sandbox!(a_run_of_a_server_with_a_certificate_ends_as_any_other);

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
}
