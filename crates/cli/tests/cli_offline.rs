//! The command line without a server: help, exit codes, the forms of errors.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `vm0` with these arguments in `dir`, without settings of the user who runs the tests.
fn vm0(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vm0"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir)
        .envs(env.iter().copied())
        .output()
        .expect("vm0 runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("results are text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are text")
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["runner"],
    &["auth", "login"],
    &["auth", "logout"],
    &["auth", "status"],
    &["auth", "setup-token"],
    &["token", "create"],
    &["token", "list"],
    &["token", "delete"],
    &["secret", "list"],
    &["secret", "set"],
    &["secret", "delete"],
    &["variable", "list"],
    &["variable", "set"],
    &["variable", "delete"],
    &["doctor"],
    &["image", "import"],
    &["image", "build"],
    &["image", "list"],
    &["image", "rm"],
    &["init"],
    &["compose"],
    &["cook"],
    &["cook", "continue"],
    &["cook", "resume"],
    &["cook", "logs"],
    &["completion"],
    &["agent", "list"],
    &["agent", "status"],
    &["run"],
    &["run", "continue"],
    &["run", "resume"],
    &["run", "list"],
    &["run", "show"],
    &["run", "kill"],
    &["exec"],
    &["logs"],
    &["volume", "init"],
    &["volume", "push"],
    &["volume", "pull"],
    &["volume", "status"],
    &["volume", "list"],
    &["volume", "versions"],
    &["volume", "clone"],
    &["artifact", "pull"],
    &["bench", "start"],
    &["bench", "api"],
    &["bench", "events"],
    &["bench", "storage"],
];

#[test]
fn the_help_of_every_command_has_examples() {
    let dir = temporary();
    for command in COMMANDS {
        let output = vm0(dir.path(), &[command, &["--help"][..]].concat(), &[]);
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(
            stdout(&output).contains("Examples:\n  "),
            "{command:?}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn the_program_alone_prints_its_help() {
    let dir = temporary();
    let output = vm0(dir.path(), &[], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("Usage: vm0"));
    let version = vm0(dir.path(), &["--version"], &[]);
    assert_eq!(
        stdout(&version),
        concat!("vm0 ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_use_exits_2_and_names_what_is_near() {
    let dir = temporary();
    let output = vm0(dir.path(), &["compos"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("✗ "), "{}", stderr(&output));
    assert!(stderr(&output).contains("compose"), "{}", stderr(&output));
    for args in [
        &["run", "demo"][..],
        &["run", "demo", "p", "--timeout", "0"],
        &["run", "continue", "no-uuid", "p"],
        &["run", "demo", "p", "--vars", "A="],
        &["run", "demo", "p", "--secrets", "NOT_SET_ANYWHERE"],
        &["run", "list", "--since", "yesterday"],
        &["logs", "x", "--system", "--network"],
        &["token", "create"],
        &["token", "create", "--user", "a", "--expires-in-days", "366"],
        &["secret", "set", "lower"],
        &["serve", "--sandbox", "vmware"],
    ] {
        assert_eq!(
            vm0(dir.path(), args, &[]).status.code(),
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn what_stays_closed_is_not_taken_for_open() {
    let dir = temporary();
    let data_dir = dir.path().join("data");
    let data_dir = data_dir.to_str().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--sandbox", "fake"];
    let rest = [
        "--data-dir",
        data_dir,
        "--allow-private",
        "169.254.169.254/32",
    ];
    let output = vm0(dir.path(), &[&serve[..], &rest].concat(), &[]);
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.contains("open 169.254.169.254/32 to agents"), "{text}");
    assert!(text.contains("stay closed"), "{text}");
}

#[test]
fn without_a_token_the_exit_code_is_3() {
    let dir = temporary();
    let output = vm0(dir.path(), &["agent", "list", "--json"], &[]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output), "");
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["type"], "client_error");
    assert_eq!(error["error"]["exit_code"], 3);
}

#[test]
fn a_server_that_is_not_there_exits_8() {
    let dir = temporary();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = free.to_string();
    let env = [
        ("VM0_API_URL", address.as_str()),
        ("VM0_TOKEN", "vm0_live_x"),
    ];
    let output = vm0(dir.path(), &["agent", "list"], &env);
    assert_eq!(output.status.code(), Some(8));
    assert!(
        stderr(&output).contains("Start one: vm0 serve"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_no_id_of_a_run_exits_4() {
    let dir = temporary();
    let output = vm0(dir.path(), &["run", "show", "nope"], &[("VM0_TOKEN", "x")]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(
        stderr(&output),
        "✗ No such run: 'nope'\n  See: vm0 run list --all\n"
    );
}

#[test]
fn a_configuration_is_validated_without_a_server() {
    let dir = temporary();
    let missing = vm0(dir.path(), &["compose", "--dry-run"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(
        stderr(&missing),
        "✗ Config file not found: vm0.yaml\n  Make one: vm0 init\n"
    );
    let good = "version: \"1.0\"\nagents:\n  demo:\n    framework: shell\n";
    std::fs::write(dir.path().join("vm0.yaml"), good).unwrap();
    let output = vm0(dir.path(), &["compose", "--dry-run", "--json"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "{\"valid\":true,\"warnings\":[]}\n");
    std::fs::write(dir.path().join("vm0.yaml"), good.replace("shell", "bash")).unwrap();
    let output = vm0(dir.path(), &["compose", "--dry-run"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("vm0.yaml:4:5: agents.demo.framework: invalid value 'bash'"));
}

#[test]
fn a_directory_becomes_a_volume_once_and_stays_one() {
    let dir = temporary();
    let here = dir.path().join("books");
    std::fs::create_dir(&here).unwrap();
    let output = vm0(&here, &["volume", "init"], &[]);
    assert_eq!(stdout(&output), "✓ Initialised volume: books\n");
    assert_eq!(vm0(&here, &["volume", "init"], &[]).status.code(), Some(1));
    let other = vm0(&here, &["artifact", "push"], &[("VM0_TOKEN", "x")]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        stderr(&other).contains("Use: vm0 volume"),
        "{}",
        stderr(&other)
    );
    let bad = vm0(dir.path(), &["volume", "init", "-n", "Not_A_Name"], &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).starts_with("✗ Invalid volume name"));
}

#[test]
fn a_token_is_made_without_a_server() {
    let dir = temporary();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let made = vm0(
        dir.path(),
        &["token", "create", "--user", "me", "--data-dir", data],
        &[],
    );
    let token = stdout(&made);
    assert!(
        token.starts_with("vm0_live_") && token.len() == 9 + 64 + 1,
        "{}",
        stderr(&made)
    );
    let runner = vm0(
        dir.path(),
        &["token", "create", "--runner", "r", "--data-dir", data],
        &[],
    );
    assert!(stdout(&runner).starts_with("vm0_runner_"));
    let bad = vm0(
        dir.path(),
        &["token", "create", "--user", "a b", "--data-dir", data],
        &[],
    );
    assert_eq!(bad.status.code(), Some(2));
}
