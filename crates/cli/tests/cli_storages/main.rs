//! Volumes and artifacts from the command line, against a real server without a runner.

#![allow(
    clippy::unwrap_used,
    reason = "all functions here are of tests, and a test that cannot go on has failed"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use vm0_testkit::{Server, ServerOptions};

mod proxy;
mod table;
mod transfers;

const BINARY: &str = env!("CARGO_BIN_EXE_vm0");

fn server() -> Server {
    ServerOptions::new(BINARY, "fake")
        .arg("--no-runner")
        .start()
}

fn command(server: &Server, dir: &Path, args: &[&str]) -> Command {
    server.client(dir, args)
}

fn vm0(server: &Server, dir: &Path, args: &[&str]) -> Output {
    command(server, dir, args).output().expect("vm0 runs")
}

fn ok(server: &Server, dir: &Path, args: &[&str]) -> String {
    let output = vm0(server, dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("results are text")
}

fn refused(server: &Server, dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = vm0(server, dir, args);
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("messages are text"),
    )
}

fn json(server: &Server, dir: &Path, args: &[&str]) -> Value {
    let text = ok(server, dir, &[args, &["--json"][..]].concat());
    serde_json::from_str(&text).expect("one document")
}

fn make_books(root: &Path) {
    fs::create_dir_all(root.join("sub")).expect("a directory");
    fs::write(root.join("a.txt"), "hello\n").expect("a file");
    fs::write(root.join("sub/run.sh"), "#!/bin/sh\n").expect("a file");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(root.join("sub/run.sh"), executable).expect("the mode is set");
    symlink("/nowhere", root.join("link")).expect("a link");
}

#[test]
fn what_is_pushed_comes_back_as_it_was() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let first = ok(&server, &books, &["volume", "push", "-m", "first"]);
    assert!(
        first.starts_with("✓ Upload complete\n  Version:     "),
        "{first}"
    );
    let again = ok(&server, &books, &["volume", "push"]);
    assert!(
        again.starts_with("✓ Content unchanged (deduplicated)\n"),
        "{again}"
    );
    let forced = json(&server, &books, &["volume", "push", "-f"]);
    assert_eq!(forced["changed"], false, "{forced}");
    ok(&server, dir.path(), &["volume", "clone", "books", "copy"]);
    let copy = dir.path().join("copy");
    assert_eq!(fs::read_to_string(copy.join("a.txt")).unwrap(), "hello\n");
    assert_eq!(
        fs::metadata(copy.join("sub/run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o755
    );
    assert_eq!(
        fs::read_link(copy.join("link")).unwrap(),
        Path::new("/nowhere")
    );
    assert_eq!(
        json(&server, &copy, &["volume", "status"])["local"]["state"],
        "same"
    );
    let versions = json(&server, &copy, &["volume", "versions"]);
    assert_eq!(versions["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(versions["data"][0]["message"], "first");
}

#[test]
fn a_pull_keeps_local_work_unless_it_is_told_otherwise() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let first = json(&server, &books, &["volume", "push"]);
    let first = first["version"].as_str().unwrap();
    fs::write(books.join("a.txt"), "changed\n").unwrap();
    fs::write(books.join("new"), "new\n").unwrap();
    let status = ok(&server, &books, &["volume", "status"]);
    assert!(
        status.contains("changed (1 added, 1 modified, 0 deleted)"),
        "{status}"
    );
    let (code, message) = refused(&server, &books, &["volume", "pull"]);
    assert_eq!(code, Some(1), "{message}");
    assert_eq!(
        fs::read_to_string(books.join("a.txt")).unwrap(),
        "changed\n"
    );
    ok(&server, &books, &["volume", "push"]);
    fs::write(books.join("a.txt"), "changed again\n").unwrap();
    let (code, message) = refused(&server, &books, &["volume", "push", "--expect", first]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("Get it first: vm0 volume pull"),
        "{message}"
    );
    ok(&server, &books, &["volume", "pull", &first[..8], "-f"]);
    assert_eq!(fs::read_to_string(books.join("a.txt")).unwrap(), "hello\n");
    assert!(!books.join("new").exists());
    assert!(books.join(".vm0/storage.yaml").exists());
}

#[test]
fn an_empty_directory_is_an_empty_version_and_empties_another() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    ok(&server, &empty, &["artifact", "init"]);
    assert_eq!(refused(&server, &empty, &["artifact", "status"]).0, Some(4));
    let pushed = ok(&server, &empty, &["artifact", "push"]);
    assert!(
        pushed.starts_with("✓ No files found (empty artifact)\n"),
        "{pushed}"
    );
    fs::write(empty.join("left"), "x").unwrap();
    ok(&server, &empty, &["artifact", "pull", "-f"]);
    assert!(!empty.join("left").exists());
}

#[test]
fn what_is_not_on_the_server_exits_4() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["volume", "clone", "nope"][..],
        &["artifact", "versions", "nope"],
    ] {
        let (code, message) = refused(&server, dir.path(), args);
        assert_eq!(code, Some(4), "{message}");
    }
    assert!(!dir.path().join("nope").exists());
    assert_eq!(
        ok(&server, dir.path(), &["volume", "list", "--json"]),
        "{\"data\":[]}\n"
    );
}
