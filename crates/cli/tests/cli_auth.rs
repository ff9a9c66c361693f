//! Signing in and out from the command line, against a real server without a runner.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vm0_testkit::{Pages, Server, ServerOptions, TestProcess};

const LIMIT: Duration = Duration::from_secs(60);

fn server() -> Server {
    ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
        .arg("--no-runner")
        .start()
}

/// A machine that is not signed in: a home directory and the address of a server.
struct Machine {
    home: tempfile::TempDir,
    url: String,
}

impl Machine {
    fn new(url: &str) -> Self {
        Self {
            home: tempfile::tempdir().expect("a temporary directory"),
            url: url.to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm0"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("VM0_API_URL", &self.url)
            .stdin(Stdio::null());
        command
    }

    fn vm0(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("vm0 runs")
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.vm0(args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            stderr(&output)
        );
        String::from_utf8(output.stdout).expect("results are text")
    }

    fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let output = self.vm0(&[args, &["--json"]].concat());
        let document = serde_json::from_slice(&output.stdout).expect("one document");
        (output.status.code(), document)
    }

    fn sign_in(&self, token: &str) -> Output {
        let mut child = self
            .command(&["auth", "login", "--token-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vm0 runs");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(token.as_bytes()).expect("vm0 reads");
        drop(stdin);
        child.wait_with_output().expect("vm0 ends")
    }

    fn config(&self) -> std::path::PathBuf {
        self.home.path().join(".vm0/config.json")
    }

    fn stored(&self) -> Value {
        let bytes = std::fs::read(self.config()).expect("the file is there");
        serde_json::from_slice(&bytes).expect("the file is JSON")
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are text")
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

/// `vm0 auth login` that waits for its code to be approved, and the code.
fn login(machine: &Machine) -> (TestProcess, String) {
    let process = TestProcess::start(machine.command(&["auth", "login"]));
    let started = Instant::now();
    loop {
        let shown = process.stderr();
        if let Some((_, rest)) = shown.split_once("Valid for:   15 minutes\n") {
            assert_eq!(rest, "");
            let link = format!("  Link:        {}/device\n  Code:        ", machine.url);
            let (before, code) = shown.split_once(&link).expect("link and code");
            assert_eq!(before, "Open this page and enter the code:\n");
            return (process, code[..9].to_owned());
        }
        assert!(started.elapsed() < LIMIT, "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_login_that_is_approved_lasts_until_the_logout() {
    let server = server();
    let machine = Machine::new(server.url());
    let (mut process, code) = login(&machine);
    decide(&server, &code, true);
    let signed_in = format!("✓ Signed in to {}\n", server.url());
    assert_eq!(process.stdout_rest(), signed_in);
    assert_eq!(process.wait(LIMIT).code(), Some(0), "{}", process.stderr());
    let stored = machine.stored();
    let token = stored["token"].as_str().expect("a token");
    assert_eq!(stored, json!({ "apiUrl": server.url(), "token": token }));
    assert_eq!(mode(&machine.config()), 0o600);
    assert_eq!(mode(&machine.home.path().join(".vm0")), 0o700);
    assert_eq!(
        machine.ok(&["auth", "status"]),
        format!(
            "✓ Authenticated\n  Server:      {}\n  Token:       {}...\n  Source:      config file\n",
            server.url(),
            &token[..16]
        )
    );
    assert_eq!(machine.ok(&["auth", "setup-token"]), format!("{token}\n"));
    assert_eq!(machine.ok(&["auth", "logout"]), "✓ Signed out\n");
    assert_eq!(machine.stored(), json!({ "apiUrl": server.url() }));
    assert_eq!(machine.vm0(&["auth", "status"]).status.code(), Some(3));
    let refused = machine.sign_in(token);
    assert_eq!(
        refused.status.code(),
        Some(3),
        "it is deleted on the server"
    );
    let left = machine.vm0(&["auth", "logout"]);
    assert_eq!(left.status.code(), Some(0));
    assert_eq!(stderr(&left), "No token was stored.\n");
}

#[tokio::main(flavor = "current_thread")]
async fn decide(server: &Server, code: &str, approved: bool) {
    let pages = Pages::sign_in(server.url(), server.token()).await;
    if approved {
        pages.approve(code).await;
    } else {
        pages.deny(code).await;
    }
}

#[test]
fn a_login_that_is_denied_exits_1_and_stores_nothing() {
    let server = server();
    let machine = Machine::new(server.url());
    let (mut process, code) = login(&machine);
    decide(&server, &code, false);
    assert_eq!(process.wait(LIMIT).code(), Some(1));
    let end = "✗ The sign-in was denied\n  Try again: vm0 auth login\n";
    assert!(process.stderr().ends_with(end), "{}", process.stderr());
    assert!(!machine.config().exists());
}

#[test]
fn a_login_can_be_broken_off() {
    let server = server();
    let machine = Machine::new(server.url());
    let (mut process, _) = login(&machine);
    process.signal("INT");
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    assert!(!machine.config().exists());
}

#[test]
fn a_token_on_stdin_is_checked_before_it_is_stored() {
    let server = server();
    let machine = Machine::new(server.url());
    let unknown = format!("vm0_live_{}", "0".repeat(64));
    let runner = format!("vm0_runner_{}", "0".repeat(64));
    for token in ["", "x", &unknown, &runner, &"x".repeat(100_000)] {
        let refused = machine.sign_in(token);
        assert_eq!(refused.status.code(), Some(3), "{token:.20}");
        let message = "✗ The server refused the token on stdin\n  Sign in: vm0 auth login\n";
        assert_eq!(stderr(&refused), message);
        assert!(!machine.config().exists());
    }
    std::fs::create_dir(machine.home.path().join(".vm0")).expect("the directory is ours");
    std::fs::write(machine.config(), r#"{"theme":"dark","token":"old"}"#).expect("a file");
    let signed_in = machine.sign_in(&format!("{}\n", server.token()));
    assert_eq!(signed_in.status.code(), Some(0), "{}", stderr(&signed_in));
    let stored = json!({ "theme": "dark", "token": server.token(), "apiUrl": server.url() });
    assert_eq!(machine.stored(), stored);
    machine.ok(&["agent", "list"]);
}

#[test]
fn the_status_says_which_token_is_in_use() {
    let server = server();
    let machine = Machine::new(server.url());
    let (code, document) = machine.json(&["auth", "status"]);
    let expected = json!({
        "authenticated": false, "api_url": server.url(), "token_prefix": null, "source": null,
    });
    assert_eq!((code, document), (Some(3), expected));
    let none = machine.vm0(&["auth", "status"]);
    assert_eq!(
        stderr(&none),
        "✗ Not authenticated\n  Sign in: vm0 auth login\n"
    );
    machine.sign_in(server.token());
    let other = server.token_create("other");
    for (name, value, source) in [
        ("VM0_UNUSED", server.token(), "config file"),
        ("VM0_TOKEN", &other, "VM0_TOKEN"),
        ("VM0_API_KEY", &other, "VM0_API_KEY"),
    ] {
        let args = ["auth", "status", "--json"];
        let output = machine.command(&args).env(name, value).output();
        let output = output.expect("vm0 runs");
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let prefix = format!("{}...", &value[..16]);
        let expected = json!({
            "authenticated": true, "api_url": server.url(), "token_prefix": prefix, "source": source,
        });
        assert_eq!(document, expected);
    }
    let refused = machine
        .command(&["auth", "status"])
        .env("VM0_TOKEN", "secret")
        .output();
    let refused = refused.expect("vm0 runs");
    assert_eq!(refused.status.code(), Some(3));
    assert!(!stderr(&refused).contains("secret"), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("VM0_TOKEN"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn without_a_token_three_steps_lead_to_one() {
    let machine = Machine::new("http://127.0.0.1:9");
    let output = machine.vm0(&["auth", "setup-token"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
    let message = stderr(&output);
    for step in ["1. ", "2. Sign in: vm0 auth login", "3. "] {
        assert!(message.contains(step), "{message}");
    }
    let command = ["auth", "setup-token"];
    let output = machine.command(&command).env("VM0_TOKEN", "t").output();
    let output = output.expect("vm0 runs");
    assert_eq!(output.stdout, b"t\n");
    assert!(stderr(&output).contains("export VM0_API_KEY="));
}

#[test]
fn the_stored_token_goes_to_its_own_server_only() {
    let (server, other) = (server(), server());
    let machine = Machine::new(server.url());
    machine.sign_in(server.token());
    for args in [
        &["agent", "list"][..],
        &["auth", "status"],
        &["auth", "setup-token"],
    ] {
        let elsewhere = [args, &["--api-url", other.url()]].concat();
        let output = machine.vm0(&elsewhere);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("vm0 auth login"));
        machine.ok(args);
    }
}

#[test]
fn a_logout_succeeds_without_its_server() {
    let mut server = server();
    let machine = Machine::new(server.url());
    machine.sign_in(server.token());
    server.stop();
    let output = machine
        .command(&["auth", "logout"])
        .env("VM0_API_KEY", "x")
        .output()
        .expect("vm0 runs");
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), "✓ Signed out\n".as_bytes())
    );
    let message = stderr(&output);
    assert!(message.contains("still valid"), "{message}");
    assert!(message.contains("VM0_API_KEY is still set"), "{message}");
    assert_eq!(machine.stored(), json!({ "apiUrl": server.url() }));
    let output = machine.vm0(&["auth", "login"]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
}

/// A server that gives these answers, one to each connection.
fn scripted(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().expect("vm0 connects");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    url
}

#[test]
fn a_login_waits_through_what_passes() {
    let url = scripted(&[
        (
            "200 OK",
            r#"{"device_code":"d","user_code":"BCDF\u001b[2J","verification_path":"/device","expires_in":60,"interval":0}"#,
        ),
        ("400 Bad Request", r#"{"error":"authorization_pending"}"#),
        ("503 Service Unavailable", "down"),
        ("400 Bad Request", r#"{"error":"slow_down"}"#),
        (
            "200 OK",
            r#"{"access_token":"t","token_type":"Bearer","expires_in":1}"#,
        ),
    ]);
    let machine = Machine::new(&url);
    let output = machine.vm0(&["auth", "login"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("BCDF\\x1b[2J"),
        "{}",
        stderr(&output)
    );
    assert_eq!(machine.stored(), json!({ "apiUrl": url, "token": "t" }));
}

#[test]
fn a_code_that_expires_ends_the_login() {
    let url = scripted(&[
        (
            "200 OK",
            r#"{"device_code":"d","user_code":"B","verification_path":"/device","expires_in":60,"interval":0}"#,
        ),
        ("400 Bad Request", r#"{"error":"expired_token"}"#),
    ]);
    let output = Machine::new(&url).vm0(&["auth", "login"]);
    assert_eq!(output.status.code(), Some(1));
    let end = "✗ The code has expired\n  Try again: vm0 auth login\n";
    assert!(stderr(&output).ends_with(end), "{}", stderr(&output));
}

#[test]
fn a_login_without_a_home_is_refused_before_it_begins() {
    let machine = Machine::new("http://127.0.0.1:9");
    let output = machine
        .command(&["auth", "login"])
        .env_remove("HOME")
        .output();
    let output = output.expect("vm0 runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("HOME is not set"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_config_file_that_cannot_be_read_is_named() {
    let machine = Machine::new("http://127.0.0.1:9");
    std::fs::create_dir(machine.home.path().join(".vm0")).expect("the directory is ours");
    for text in ["{", "[]", r#"{"token":7}"#] {
        std::fs::write(machine.config(), text).expect("a file");
        for command in ["login", "logout", "status", "setup-token"] {
            let output = machine.vm0(&["auth", command]);
            assert_eq!(output.status.code(), Some(1), "{command} {text}");
            assert!(
                stderr(&output).contains(".vm0/config.json"),
                "{command} {text}"
            );
        }
        let left = std::fs::read_to_string(machine.config()).expect("a file");
        assert_eq!(left, text);
    }
}

#[test]
fn a_server_without_users_prints_a_link_at_each_start() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let serve = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vm0"));
        command
            .args([
                "serve",
                "--no-runner",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(data.path());
        let mut process = TestProcess::start(command);
        let line = process.stdout_line();
        let url = line.strip_prefix("listening on ").expect("it listens");
        (url.to_owned(), process)
    };
    let mut links = Vec::new();
    for _ in 0..2 {
        let (url, process) = serve();
        let first = "First start. Open this link once to sign in as the first user:\n  ";
        let started = Instant::now();
        let log = loop {
            let log = process.stderr();
            if log
                .split_once(first)
                .is_some_and(|(_, link)| link.contains('\n'))
            {
                break log;
            }
            assert!(started.elapsed() < LIMIT, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (_, link) = log.split_once(first).expect("the link is there");
        let (link, _) = link.split_once('\n').expect("a line ends");
        let secret = link
            .strip_prefix(&format!("{url}/sign-in/"))
            .expect("a link");
        assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
        links.push(secret.to_owned());
    }
    assert_ne!(links[0], links[1]);
    let made = Command::new(env!("CARGO_BIN_EXE_vm0"))
        .args(["token", "create", "--user", "ada", "--data-dir"])
        .arg(data.path())
        .output()
        .expect("vm0 runs");
    assert_eq!(made.status.code(), Some(0));
    let (_, mut process) = serve();
    process.signal("TERM");
    process.wait(LIMIT);
    assert!(
        !process.stderr().contains("sign-in"),
        "{}",
        process.stderr()
    );
}
