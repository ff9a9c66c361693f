//! Agents from the command line, against a real server without a runner.

use std::fs;
use std::process::Output;

use vm0_testkit::{Server, ServerOptions};

const AGENT: &str = r#"
version: "1.0"
agents:
  Ledger-Check:
    framework: shell
    environment:
      REGION: "${{ vars.REGION }}"
      KEY: "${{ secrets.KEY }} ${{ secrets.OTHER }}"
    volumes: ["books:/home/user/books"]
    network: { mode: allowlist }
volumes:
  books: { name: books }
"#;

const BUSY: &str = r#"{version: "1.0", agents: {busy: {framework: shell}}}"#;

struct World {
    server: Server,
    directory: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let server = ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
            .arg("--no-runner")
            .start();
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("vm0.yaml"), AGENT).expect("a file");
        Self { server, directory }
    }

    fn vm0(&self, args: &[&str]) -> Output {
        let mut command = self.server.client(self.directory.path(), args);
        command.output().expect("vm0 runs")
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.vm0(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).expect("results are text")
    }

    fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.vm0(args);
        let stderr = String::from_utf8(output.stderr).expect("messages are text");
        (output.status.code(), stderr)
    }
}

#[test]
fn the_status_says_what_an_agent_needs_and_what_of_it_is_there() {
    let world = World::start();
    world.ok(&["compose", "vm0.yaml"]);
    world.ok(&["secret", "set", "KEY", "--body", "value"]);
    let status = world.ok(&["agent", "status", "ledger-check"]);
    for line in [
        "ledger-check",
        "Network:     allowlist",
        "Secret:      KEY (stored)",
        "Secret:      OTHER (missing)",
        "Variable:    REGION (missing)",
        "Volume:      books at /home/user/books",
    ] {
        assert!(
            status.lines().any(|it| it.trim() == line),
            "{line}: {status}"
        );
    }
    world.ok(&["variable", "set", "REGION", "eu"]);
    let status = world.ok(&["agent", "inspect", "ledger-check"]);
    assert!(status.contains("REGION (stored)"), "{status}");
}

#[test]
fn an_agent_is_deleted_when_it_was_meant_and_nothing_runs() {
    let world = World::start();
    world.ok(&["compose", "vm0.yaml"]);
    let (code, message) = world.refused(&["agent", "delete", "ledger-check"]);
    let expected = "✗ Deleting asks first; without a terminal use --yes\n";
    assert_eq!(code, Some(2));
    assert!(message.starts_with(expected), "{message}");
    fs::write(world.directory.path().join("busy.yaml"), BUSY).expect("a file");
    world.ok(&["compose", "busy.yaml"]);
    world.ok(&["run", "busy", "true", "-d"]);
    let (code, message) = world.refused(&["agent", "delete", "busy", "-y"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("vm0 run kill RUN"), "{message}");
    let deleted = world.ok(&["agent", "delete", "ledger-check", "--yes"]);
    assert_eq!(deleted, "✓ Agent ledger-check deleted\n");
    let (code, message) = world.refused(&["agent", "delete", "ledger-check", "--yes"]);
    assert_eq!(code, Some(4));
    let expected = "✗ No such agent: 'ledger-check'\n  Create it: vm0 compose vm0.yaml\n";
    assert_eq!(message, expected);
}

#[test]
fn schedules_are_added_listed_switched_and_deleted() {
    let world = World::start();
    fs::write(world.directory.path().join("busy.yaml"), BUSY).expect("a file");
    world.ok(&["compose", "busy.yaml"]);
    let (code, message) = world.refused(&[
        "schedule", "add", "busy", "--cron", "often", "--prompt", "x",
    ]);
    assert_eq!(code, Some(1));
    assert!(message.contains("cron must be five fields"), "{message}");
    let added = world.ok(&[
        "schedule",
        "add",
        "busy",
        "--cron",
        "0 9 * * 1-5",
        "--timezone",
        "Europe/Berlin",
        "--prompt",
        "Summarise the news of the day, please, in three lines",
    ]);
    assert!(
        added.starts_with("✓ Schedule created: ") && added.contains("Next run:"),
        "{added}"
    );
    let list = world.ok(&["schedule", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("one document");
    let id = list["data"][0]["id"].as_str().expect("an id").to_owned();
    let table = world.ok(&["schedule", "ls"]);
    let row = table.lines().nth(1).expect("a row");
    assert!(row.contains("0 9 * * 1-5") && row.ends_with('…'), "{row}");
    let off = world.ok(&["schedule", "disable", &id]);
    assert_eq!(off, format!("✓ Schedule {id} disabled\n"));
    assert!(world.ok(&["schedule", "list"]).contains(" off "));
    assert!(world.ok(&["schedule", "enable", &id]).contains("Next run:"));
    world.ok(&["schedule", "delete", &id, "--yes"]);
    let (code, message) = world.refused(&["schedule", "enable", &id]);
    assert_eq!(
        (code, message),
        (Some(4), format!("✗ No such schedule: '{id}'\n"))
    );
}
