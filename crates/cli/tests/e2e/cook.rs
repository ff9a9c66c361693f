//! From an empty directory to a result, and on from there: `init`, `cook`, `cook continue`,
//! `cook resume`, `cook logs`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use vm0_testkit::Server;

use crate::sandboxes::server;

crate::on_each_sandbox!(
    an_empty_directory_becomes_a_result_that_goes_on,
    a_step_that_fails_ends_the_cooking_with_its_code,
);

/// `vm0` as a user of `server` whose project is `home/project`.
fn vm0(server: &Server, home: &Path, args: &[&str]) -> Output {
    server
        .client(home, args)
        .current_dir(home.join("project"))
        .output()
        .expect("vm0 runs")
}

fn ok(server: &Server, home: &Path, args: &[&str]) -> (String, String) {
    let output = vm0(server, home, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a directory");
    fs::create_dir(home.path().join("project")).expect("a directory");
    home
}

fn read(home: &Path, path: &str) -> String {
    let path = home.join("project").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(home: &Path, path: &str, text: &str) {
    let path = home.join("project").join(path);
    fs::create_dir_all(path.parent().expect("a file")).expect("directories");
    fs::write(path, text).expect("a file");
}

fn remembered(home: &Path) -> Value {
    let text = fs::read_to_string(home.join(".vm0/cook.json")).expect("something is remembered");
    let all: Value = serde_json::from_str(&text).expect("it is JSON");
    let project = home.join("project").canonicalize().expect("it exists");
    all[project.to_str().expect("text")].clone()
}

async fn an_empty_directory_becomes_a_result_that_goes_on(kind: &str) {
    let server = server(kind);
    let home = home();
    let home = home.path();
    let nothing = vm0(&server, home, &["cook", "continue", "true"]);
    assert_eq!(nothing.status.code(), Some(1));
    let text = String::from_utf8_lossy(&nothing.stderr);
    assert!(text.ends_with("  Begin: vm0 cook \"…\"\n"), "{text}");

    ok(
        &server,
        home,
        &["init", "-n", "counter", "--framework", "shell"],
    );
    let (stdout, stderr) = ok(
        &server,
        home,
        &["cook", "echo one > made.txt; cat ~/.vm0/instructions.md"],
    );
    assert!(
        stdout.starts_with("✓ Config validated: 1 agent, 0 volume(s)\n"),
        "{stdout}"
    );
    for line in [
        "✓ Compose created: counter",
        "✓ Run completed successfully",
        "# counter",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }
    for step in [
        "> vm0 compose vm0.yaml --dry-run\n",
        "> vm0 artifact init -n artifact  # in artifact\n",
        "> vm0 artifact push  # in artifact\n",
        "> vm0 compose vm0.yaml\n",
        "> vm0 run counter:",
        "> vm0 artifact pull ",
    ] {
        assert!(stderr.contains(step), "{step} in {stderr}");
    }
    assert_eq!(read(home, "artifact/made.txt"), "one\n");
    go_on(&server, home);
}

/// The rest of the way, from a first result.
fn go_on(server: &Server, home: &Path) {
    let first = remembered(home);

    // What was edited meanwhile is there when the session goes on.
    write(home, "artifact/made.txt", "edited\n");
    ok(
        server,
        home,
        &[
            "cook",
            "continue",
            "cat made.txt > seen.txt; echo two > made.txt",
        ],
    );
    assert_eq!(read(home, "artifact/seen.txt"), "edited\n");
    assert_eq!(read(home, "artifact/made.txt"), "two\n");
    let second = remembered(home);
    assert_eq!(second["session"], first["session"]);
    assert_ne!(second["checkpoint"], first["checkpoint"]);

    let (logs, _) = ok(server, home, &["cook", "logs", "--tail", "all"]);
    assert!(logs.contains("cat made.txt > seen.txt"), "{logs}");

    let failed = vm0(server, home, &["cook", "continue", "exit 3"]);
    assert_eq!(failed.status.code(), Some(5));
    let third = remembered(home);
    assert_ne!(third["run"], second["run"]);
    assert_eq!(
        third["session"], second["session"],
        "a failed run is no end of the session"
    );

    let (document, _) = ok(
        server,
        home,
        &["cook", "resume", "cat made.txt > resumed.txt", "--json"],
    );
    let run: Value = serde_json::from_str(&document).expect("one document");
    assert_eq!(run["status"], "completed");
    assert_eq!(read(home, "artifact/resumed.txt"), "two\n");
    assert_ne!(remembered(home)["session"], second["session"]);
}

async fn a_step_that_fails_ends_the_cooking_with_its_code(kind: &str) {
    let server = server(kind);
    let home = home();
    let home = home.path();
    let missing = vm0(&server, home, &["cook", "true"]);
    assert_eq!(missing.status.code(), Some(1));
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(
        text.contains("✗ Config file not found: vm0.yaml\n  Make one: vm0 init\n"),
        "{text}"
    );
    let config = "version: \"1.0\"\nagents:\n  reader:\n    framework: shell\n    \
                  volumes: [\"books:/home/user/books\", \"maybe:/home/user/maybe\"]\nvolumes:\n  \
                  books: { name: \"books-${{ vars.CUSTOMER }}\" }\n  \
                  maybe: { name: maybe, optional: true }\n";
    write(home, "vm0.yaml", config);
    let unnamed = vm0(&server, home, &["cook", "true"]);
    assert_eq!(unnamed.status.code(), Some(1));
    let text = String::from_utf8_lossy(&unnamed.stderr);
    assert!(
        text.contains("✗ Missing required variables: CUSTOMER\n"),
        "{text}"
    );
    let absent = vm0(&server, home, &["cook", "true", "--vars", "CUSTOMER=acme"]);
    assert_eq!(absent.status.code(), Some(1));
    let text = String::from_utf8_lossy(&absent.stderr);
    assert!(text.ends_with("  Make it: mkdir books-acme\n"), "{text}");
    write(home, "books-acme/a.txt", "ledger\n");
    let prompt = "cat ~/books/a.txt > copy.txt";
    let (stdout, _) = ok(&server, home, &["cook", prompt, "--vars", "CUSTOMER=acme"]);
    assert!(
        stdout.contains("✓ Config validated: 1 agent, 2 volume(s)\n"),
        "{stdout}"
    );
    assert_eq!(read(home, "artifact/copy.txt"), "ledger\n");
    // The name of the volume is stored now, and nothing is run without a prompt.
    ok(&server, home, &["variable", "set", "CUSTOMER", "acme"]);
    let (_, stderr) = ok(&server, home, &["cook"]);
    assert!(
        stderr.contains("vm0 run reader \"…\" --artifact-name artifact"),
        "{stderr}"
    );
    let refused = server
        .client(home, &["cook", "true"])
        .current_dir(home.join("project"))
        .env("VM0_TOKEN", "vm0_live_wrong")
        .env("CUSTOMER", "acme")
        .output()
        .expect("vm0 runs");
    assert_eq!(
        refused.status.code(),
        Some(3),
        "the code of the step that failed"
    );
}
