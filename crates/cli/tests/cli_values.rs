//! Secrets, variables and tokens from the command line, against a real server without a runner.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use vm0_testkit::{Server, ServerOptions};

fn server() -> Server {
    ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
        .arg("--no-runner")
        .start()
}

fn command(server: &Server, args: &[&str]) -> Command {
    server.client(server.data_dir(), args)
}

fn vm0(server: &Server, args: &[&str]) -> Output {
    command(server, args).output().expect("vm0 runs")
}

fn ok(server: &Server, args: &[&str]) -> String {
    let output = vm0(server, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("results are text")
}

fn json_of(server: &Server, args: &[&str]) -> Value {
    let text = ok(server, &[args, &["--json"][..]].concat());
    serde_json::from_str(&text).expect("one document")
}

fn refused(server: &Server, args: &[&str]) -> (Option<i32>, String) {
    let output = vm0(server, args);
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("messages are text"),
    )
}

fn piped(server: &Server, args: &[&str], input: &[u8]) -> Output {
    let mut child = command(server, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vm0 runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input).expect("vm0 reads");
    drop(stdin);
    child.wait_with_output().expect("vm0 ends")
}

/// The secrets that a run with an empty request would have, as its runner gets them.
#[tokio::main(flavor = "current_thread")]
async fn secrets_of_a_run(server: &Server, names: &[&str]) -> Value {
    let output = Command::new(server.binary())
        .args(["token", "create", "--runner", "r", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("vm0 runs");
    let token = String::from_utf8(output.stdout).expect("a token is text");
    let api = server.api();
    let environment: Value = names
        .iter()
        .map(|name| {
            (
                name.to_string(),
                json!(format!("${{{{ secrets.{name} }}}}")),
            )
        })
        .collect();
    let agent = json!({ "framework": "shell", "environment": environment });
    let config = json!({ "version": "1.0", "agents": { "demo": agent } });
    api.agent(&config).await;
    api.run(&json!({ "agent": "demo", "prompt": "true" })).await;
    let claim = json!({ "runner": "r", "sandbox": "fake" });
    let claimed = api
        .with_token(token.trim())
        .post("/api/runner/v1/claim", &claim)
        .await;
    claimed.expect(200)["spec"]["secrets"].clone()
}

#[test]
fn a_secret_is_stored_as_given_and_never_shown() {
    let server = server();
    let saved = ok(&server, &["secret", "set", "A_KEY", "--body", "hunter2"]);
    assert_eq!(
        saved,
        "✓ Secret A_KEY saved\n  Use it: ${{ secrets.A_KEY }}\n"
    );
    let output = piped(
        &server,
        &["secret", "set", "PEM", "--json"],
        b"one\ntwo\n\n",
    );
    let saved: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(saved, json!({ "ok": true, "name": "PEM" }));
    let expected = json!({ "A_KEY": "hunter2", "PEM": "one\ntwo\n" });
    assert_eq!(secrets_of_a_run(&server, &["A_KEY", "PEM"]), expected);
    let listed = ok(&server, &["secret", "list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[0].starts_with("NAME   UPDATED"), "{listed}");
    assert!(lines[1].starts_with("PEM ") && lines[2].starts_with("A_KEY "));
    assert!(!listed.contains("hunter2"), "{listed}");
    let listed = json_of(&server, &["secret", "list"]);
    assert_eq!(listed["data"][0]["name"], "PEM");
    assert!(!listed.to_string().contains("hunter2"), "{listed}");
}

#[test]
fn what_is_no_value_of_a_secret_is_refused() {
    let server = server();
    let (code, message) = refused(&server, &["secret", "set", "A", "--body", ""]);
    assert_eq!(code, Some(1), "{message}");
    let too_long = piped(&server, &["secret", "set", "A"], &[b'x'; 65_537]);
    assert_eq!(too_long.status.code(), Some(1));
    let no_text = piped(&server, &["secret", "set", "A"], b"\xff");
    assert_eq!(no_text.status.code(), Some(2));
    for args in [
        &["secret", "set", "lower", "--body", "x"][..],
        &["secret", "delete", "A-B", "-y"],
        &["variable", "set", "1A", "x"],
        &["variable", "set", "A"],
    ] {
        let (code, message) = refused(&server, args);
        assert_eq!(code, Some(2), "{message}");
    }
    let none = vm0(&server, &["secret", "list"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
    assert_eq!(none.stderr, b"No secrets.\n");
}

/// `vm0 secret set TYPED` that waits on a terminal for what is typed.
struct Asked {
    child: Child,
    terminal: File,
    shown: String,
    // The terminal is there as long as somebody has its other end.
    _kept: File,
}

impl Asked {
    fn start(server: &Server) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("a terminal");
        unlockpt(&terminal).expect("a terminal");
        let name = ptsname(&terminal, Vec::new()).expect("a terminal");
        let name = PathBuf::from(OsString::from_vec(name.into_bytes()));
        let open = || {
            let end = File::options().read(true).write(true).open(&name);
            end.expect("a terminal")
        };
        let child = command(server, &["secret", "set", "TYPED"])
            .stdin(open())
            .stderr(open())
            .stdout(Stdio::piped())
            .spawn()
            .expect("vm0 runs");
        let mut asked = Self {
            child,
            terminal: File::from(terminal),
            shown: String::new(),
            _kept: open(),
        };
        asked.read_until("Value of TYPED: ");
        asked
    }

    fn type_line(&mut self, text: &str) {
        let line = format!("{text}\n");
        self.terminal
            .write_all(line.as_bytes())
            .expect("a terminal");
    }

    fn read_until(&mut self, end: &str) {
        let mut bytes = [0; 1024];
        while !self.shown.contains(end) {
            let count = self.terminal.read(&mut bytes).expect("a terminal");
            self.shown
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// The exit code and the results. The terminal echoes again: what is typed now is shown, after
    /// all that was.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut results = String::new();
        let mut stdout = self.child.stdout.take().expect("stdout is piped");
        stdout.read_to_string(&mut results).expect("text");
        let status = self.child.wait().expect("vm0 ends");
        self.type_line("the end");
        self.read_until("the end");
        (status.code(), results, self.shown)
    }
}

#[test]
fn a_typed_secret_is_not_echoed() {
    let server = server();
    let mut asked = Asked::start(&server);
    asked.type_line("hunter2");
    let (code, results, shown) = asked.end();
    assert_eq!(code, Some(0));
    assert!(results.starts_with("✓ Secret TYPED saved\n"), "{results}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let expected = json!({ "TYPED": "hunter2" });
    assert_eq!(secrets_of_a_run(&server, &["TYPED"]), expected);
}

#[test]
fn a_question_that_is_broken_off_leaves_the_terminal_as_it_was() {
    let server = server();
    let asked = Asked::start(&server);
    let pid = asked.child.id().to_string();
    let killed = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(killed.expect("kill runs").success());
    let (code, results, _) = asked.end();
    assert_eq!((code, results.as_str()), (Some(130), ""));
    assert_eq!(json_of(&server, &["secret", "list"]), json!({ "data": [] }));
}

#[test]
fn variables_are_shown_with_their_values() {
    let server = server();
    let saved = ok(&server, &["variable", "set", "REGION", "eu west"]);
    assert_eq!(
        saved,
        "✓ Variable REGION saved\n  Use it: ${{ vars.REGION }}\n"
    );
    let saved = json_of(&server, &["variable", "set", "EMPTY", ""]);
    assert_eq!(saved, json!({ "ok": true, "name": "EMPTY" }));
    ok(&server, &["variable", "set", "REGION", "eu\x1b[2Jwest"]);
    let listed = ok(&server, &["variable", "list"]);
    assert!(listed.contains("eu\\x1b[2Jwest\n"), "{listed}");
    let listed = json_of(&server, &["variable", "list"]);
    assert_eq!(listed["data"][0]["name"], "EMPTY");
    assert_eq!(listed["data"][1]["value"], "eu\u{1b}[2Jwest");
}

#[test]
fn nothing_is_deleted_unasked() {
    let server = server();
    for kind in ["secret", "variable"] {
        let set = match kind {
            "secret" => &["secret", "set", "KEY", "--body", "x"][..],
            _ => &["variable", "set", "KEY", "x"],
        };
        ok(&server, set);
        let (code, message) = refused(&server, &[kind, "delete", "KEY"]);
        assert_eq!(code, Some(2));
        assert!(message.contains("--yes"), "{message}");
        let deleted = json_of(&server, &[kind, "delete", "KEY", "--yes"]);
        assert_eq!(deleted, json!({ "ok": true, "name": "KEY" }));
        let (code, message) = refused(&server, &[kind, "delete", "KEY", "-y"]);
        assert_eq!(code, Some(4));
        assert_eq!(message, format!("✗ No such {kind}: 'KEY'\n"));
    }
}

#[test]
fn a_missing_value_names_the_command_that_stores_it() {
    let server = server();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("vm0.yaml");
    let config = "version: \"1.0\"\nagents:\n  demo:\n    framework: shell\n    environment:\n      \
                  A: ${{ secrets.A_KEY }}\n";
    std::fs::write(&file, config).expect("a file");
    let file = file.to_str().expect("a path of text");
    ok(&server, &["compose", file]);
    let (code, message) = refused(&server, &["run", "demo", "true", "-d"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("vm0 secret set A_KEY"), "{message}");
    ok(&server, &["secret", "set", "A_KEY", "--body", "x"]);
    ok(&server, &["run", "demo", "true", "-d"]);
}

#[test]
fn a_token_of_ones_own_is_made_seen_and_deleted() {
    let server = server();
    let token = ok(&server, &["token", "create", "--name", "laptop"]);
    let token = token.trim();
    assert!(token.starts_with("vm0_live_") && token.len() == 9 + 64);
    let args = ["token", "create", "--name", "ci", "--expires-in-days", "1"];
    let created = json_of(&server, &args);
    assert_eq!(created["name"], "ci");
    assert!(
        created["token"]
            .as_str()
            .expect("a token")
            .starts_with("vm0_live_")
    );
    let listed = ok(&server, &["token", "list"]);
    assert!(listed.starts_with("ID  "), "{listed}");
    assert!(
        listed.contains(&format!("laptop  {}  ", &token[..16])),
        "{listed}"
    );
    assert!(
        listed.contains("never") && !listed.contains(token),
        "{listed}"
    );
    let listed = json_of(&server, &["token", "list"]);
    let ids: Vec<_> = listed["data"].as_array().expect("a list").iter().collect();
    assert_eq!(ids.len(), 3, "with the one in use: {listed}");
    let ci = created["id"].as_str().expect("an id");
    let (code, message) = refused(&server, &["token", "delete", ci]);
    assert_eq!(
        (code, message.contains("in use")),
        (Some(2), false),
        "{message}"
    );
    let deleted = json_of(&server, &["token", "delete", ci, "-y"]);
    assert_eq!(deleted, json!({ "ok": true, "id": ci, "name": "ci" }));
    let (code, message) = refused(&server, &["token", "delete", ci, "-y"]);
    assert_eq!(code, Some(4));
    assert_eq!(message, format!("✗ No such token: '{ci}'\n"));
    assert_eq!(
        refused(&server, &["token", "delete", "nope", "-y"]).0,
        Some(4)
    );
    // The last of the list is the one that the commands here sign in with.
    let mine = ids[2]["id"].as_str().expect("an id");
    let output = vm0(&server, &["token", "delete", mine, "-y"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("! This is the token in use"));
    assert_eq!(refused(&server, &["token", "list"]).0, Some(3));
    let other = command(&server, &["token", "list", "--json"])
        .env("VM0_TOKEN", token)
        .output()
        .expect("vm0 runs");
    assert_eq!(other.status.code(), Some(0));
}
