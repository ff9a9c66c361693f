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
      GH_TOKEN: "${{ secrets.GH_TOKEN }}"
    secrets: { LEDGER: { hosts: ["ledger.example:8443"] } }
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
        "Secret:      KEY (stored, exposed)",
        "Secret:      OTHER (missing, exposed)",
        "Secret:      GH_TOKEN (missing, brokered → api.github.com, codeload.github.com, github.com, raw.githubusercontent.com, uploads.github.com)",
        "Secret:      LEDGER (missing, brokered → ledger.example:8443)",
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
fn the_configuration_of_a_version_comes_back_as_a_file_that_makes_the_same_version() {
    let world = World::start();
    let file = |name: &str, text: &str| {
        fs::write(world.directory.path().join(name), text).expect("a file");
    };
    // Older, with what YAML could take for something else.
    let odd = "{version: \"1.0\", agents: {ledger-check: {framework: shell, timeout_seconds: 60, \
               description: \"yes: # no\", instructions: \"Sum.\\n\\n  Twice: 1.0\\n\", \
               environment: {B: \"0x1f\", A: \"true\", C: \"~\", D: \"a\\tb\\u0007\"}}}}";
    file("odd.yaml", odd);
    world.ok(&["compose", "odd.yaml"]);
    let version = || {
        let status = world.ok(&["agent", "status", "ledger-check", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["current_version_id"]
            .as_str()
            .expect("a version")
            .to_owned()
    };
    let first = version();
    world.ok(&["compose", "vm0.yaml"]);
    let second = version();
    assert_ne!(first, second);
    for wanted in [&first, &second] {
        let named = format!("ledger-check:{}", &wanted[..8]);
        let yaml = world.ok(&["agent", "status", &named, "--yaml"]);
        file("again.yaml", &yaml);
        world.ok(&["compose", "again.yaml"]);
        assert_eq!(version(), *wanted, "{yaml}");
        assert_eq!(
            world.ok(&["agent", "status", "ledger-check", "--yaml"]),
            yaml
        );
    }
    let old = world.ok(&[
        "agent",
        "status",
        &format!("ledger-check:{}", &first[..8]),
        "--yaml",
    ]);
    assert!(
        old.contains("instructions: |\n      Sum.\n\n        Twice: 1.0\n"),
        "{old}"
    );
    assert!(
        old.contains("      B: \"0x1f\"\n      A: \"true\"\n"),
        "{old}"
    );
    let (code, message) = world.refused(&["agent", "status", "ledger-check", "--yaml", "--json"]);
    assert_eq!(code, Some(2), "{message}");
}

#[test]
fn a_cron_expression_without_quotes_is_said_with_the_command_that_was_meant() {
    let world = World::start();
    let shell = |line: &str| {
        let mut vm0 = world.server.client(world.directory.path(), &[]);
        let program = vm0.get_program().to_owned();
        vm0 = std::process::Command::new("sh");
        vm0.args(["-c", line])
            .arg("sh")
            .arg(program)
            .current_dir(world.directory.path());
        let output = vm0.output().expect("a shell");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    // `*` becomes vm0.yaml and b.txt.
    fs::write(world.directory.path().join("b.txt"), "").expect("a file");
    let (code, message) = shell("$1 schedule add busy --cron 0 9 * * 1-5 --prompt 'the news'");
    let expected = "✗ The expression of --cron must be in quotes: the shell has made words of it\n  \
                    Write: vm0 schedule add busy --cron '0 9 * * 1-5' --prompt 'the news'\n";
    assert_eq!((code, message.as_str()), (Some(2), expected));
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
