//! Every row of the table of CLI 5, through the binary.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use crate::{json, make_books, ok, refused, server, vm0};

#[test]
fn init_writes_the_marker_once_and_checks_the_name() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("Books");
    fs::create_dir(&books).unwrap();
    let (code, message) = refused(&server, &books, &["volume", "init", "-n", "A_B"]);
    assert_eq!(
        (code, message.lines().next()),
        (Some(1), Some("✗ Invalid volume name: 'A_B'"))
    );
    let done = json(&server, &books, &["artifact", "init"]);
    assert_eq!(done["name"], "books");
    let marker = fs::read_to_string(books.join(".vm0/storage.yaml")).unwrap();
    assert_eq!(marker, "name: books\ntype: artifact\n");
    let (code, message) = refused(&server, &books, &["artifact", "init"]);
    assert_eq!(
        (code, &*message),
        (Some(1), "✗ Already initialised: artifact 'books'\n")
    );
}

#[test]
fn a_directory_of_no_kind_or_of_the_other_names_the_right_command() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    for command in ["push", "pull", "status", "versions"] {
        let (code, message) = refused(&server, dir.path(), &["volume", command]);
        assert_eq!(code, Some(1), "{command}");
        assert!(message.ends_with("  Run: vm0 volume init\n"), "{message}");
    }
    ok(&server, dir.path(), &["artifact", "init", "-n", "out"]);
    for command in ["push", "pull", "status", "versions"] {
        let (code, message) = refused(&server, dir.path(), &["volume", command]);
        assert_eq!(code, Some(1), "{command}");
        let hint = format!("  Use: vm0 artifact {command}\n");
        assert!(message.ends_with(&hint), "{message}");
    }
}

#[test]
fn a_push_from_below_takes_what_a_version_can_hold_and_names_what_it_cannot() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let _socket = UnixListener::bind(books.join("socket")).unwrap();
    let pushed = vm0(&server, &books.join("sub"), &["volume", "push", "--json"]);
    let warning = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert_eq!(warning, "! Skipped socket: neither a file nor a symlink\n");
    let pushed: serde_json::Value = serde_json::from_slice(&pushed.stdout).unwrap();
    let shown = (&pushed["name"], &pushed["type"], &pushed["file_count"]);
    assert_eq!(shown, (&"books".into(), &"volume".into(), &3.into()));
    fs::write(books.join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
    let (code, message) = refused(&server, &books, &["volume", "push"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("its name is not UTF-8"), "{message}");
}

#[test]
fn status_says_how_the_directory_stands_to_the_head() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let (code, message) = refused(&server, &books, &["volume", "status"]);
    assert_eq!(
        (code, &*message),
        (
            Some(4),
            "✗ Not found on the server\n  Push it: vm0 volume push\n"
        )
    );
    let first = json(&server, &books, &["volume", "push"]);
    let shown = ok(&server, &books, &["volume", "status"]);
    assert!(
        shown.starts_with("✓ Found: books\n  Version:     "),
        "{shown}"
    );
    assert!(shown.ends_with("  Local:       same\n"), "{shown}");
    fs::write(books.join("a.txt"), "second\n").unwrap();
    ok(&server, &books, &["volume", "push"]);
    fs::write(books.join("a.txt"), "hello\n").unwrap();
    let shown = ok(&server, &books, &["volume", "status"]);
    let short = &first["version"].as_str().unwrap()[..8];
    assert!(
        shown.ends_with(&format!("  Local:       version {short}\n")),
        "{shown}"
    );
    fs::write(books.join("a.txt"), "third\n").unwrap();
    fs::write(books.join("new"), "").unwrap();
    fs::remove_file(books.join("link")).unwrap();
    let local = &json(&server, &books, &["volume", "status"])["local"];
    assert_eq!(local["state"], "changed");
    let lists = ["added", "modified", "deleted"].map(|list| local[list][0].as_str());
    assert_eq!(lists, [Some("new"), Some("a.txt"), Some("link")]);
}

#[test]
fn a_pull_deletes_only_what_is_a_stored_version_and_never_the_marker() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let first = json(&server, &books, &["volume", "push"]);
    let first = &first["version"].as_str().unwrap()[..8];
    fs::write(books.join("new"), "mine").unwrap();
    // The head lacks the file, and no version has it.
    let (code, message) = refused(&server, &books, &["volume", "pull"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("overwrite them with -f"), "{message}");
    assert!(books.join("new").exists());
    ok(&server, &books, &["volume", "push"]);
    fs::create_dir(books.join("empty")).unwrap();
    let pulled = json(&server, &books, &["volume", "pull", first]);
    assert_eq!(pulled["changed"], true);
    assert!(!books.join("new").exists(), "the head has it");
    assert!(books.join("empty").exists() && books.join(".vm0/storage.yaml").exists());
    let again = ok(&server, &books, &["volume", "pull", first]);
    assert!(
        again.starts_with("✓ Already up to date\n  version: "),
        "{again}"
    );
    let (code, _) = refused(&server, &books, &["volume", "pull", "00000000"]);
    assert_eq!(code, Some(4));
    let (code, _) = refused(&server, &books, &["volume", "pull", "xyz"]);
    assert_eq!(code, Some(2));
}

#[test]
fn lists_have_their_columns() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    let none = vm0(&server, dir.path(), &["artifact", "list"]);
    assert_eq!(
        (none.status.code(), &none.stderr[..]),
        (Some(0), &b"No artifacts.\n"[..])
    );
    ok(&server, &books, &["volume", "init"]);
    ok(&server, &books, &["volume", "push", "-m", "first"]);
    fs::write(books.join("a.txt"), "second\n").unwrap();
    ok(&server, &books, &["volume", "push", "-m", "second"]);
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let list = ok(&server, dir.path(), &["volume", "ls"]);
    let mut lines = list.lines().map(words);
    assert_eq!(
        lines.next().unwrap(),
        ["NAME", "VERSION", "FILES", "SIZE", "UPDATED"]
    );
    assert_eq!(lines.next().unwrap()[..1], ["books"]);
    let versions = ok(&server, dir.path(), &["volume", "versions", "books"]);
    let mut lines = versions.lines().map(words);
    let columns = ["VERSION", "FILES", "SIZE", "CREATED", "BY", "MESSAGE"];
    assert_eq!(lines.next().unwrap(), columns);
    let (second, first) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!(
        (second[1].as_str(), second.last().unwrap().as_str()),
        ("(head)", "second")
    );
    assert_eq!(
        (first[1].as_str(), first.last().unwrap().as_str()),
        ("3", "first")
    );
}

#[test]
fn a_clone_needs_an_empty_place_and_leaves_nothing_when_it_fails() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    let first = json(&server, &books, &["volume", "push"]);
    let first = &first["version"].as_str().unwrap()[..8];
    fs::write(books.join("a.txt"), "second\n").unwrap();
    ok(&server, &books, &["volume", "push"]);
    let (code, message) = refused(&server, dir.path(), &["volume", "clone", "books"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("it is not empty"), "{message}");
    fs::create_dir(dir.path().join("old")).unwrap();
    let args = ["volume", "clone", "books", "old", "--version", first];
    assert_eq!(json(&server, dir.path(), &args)["file_count"], 3);
    let old = dir.path().join("old");
    assert_eq!(fs::read_to_string(old.join("a.txt")).unwrap(), "hello\n");
    let marker = fs::read_to_string(old.join(".vm0/storage.yaml")).unwrap();
    assert_eq!(marker, "name: books\ntype: volume\n");
    fs::remove_dir_all(server.data_dir().join("objects/packs")).unwrap();
    fs::remove_dir_all(server.data_dir().join("archives")).unwrap();
    let (code, message) = refused(&server, dir.path(), &["volume", "clone", "books", "new"]);
    assert_ne!(code, Some(0), "{message}");
    assert!(!dir.path().join("new").exists());
}

#[test]
fn delete_asks_and_frees_the_name() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let books = dir.path().join("books");
    make_books(&books);
    ok(&server, &books, &["volume", "init"]);
    ok(&server, &books, &["volume", "push"]);
    let (code, message) = refused(&server, &books, &["volume", "delete", "books"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("--yes"), "{message}");
    let deleted = ok(&server, &books, &["volume", "delete", "books", "-y"]);
    assert_eq!(deleted, "✓ Volume books deleted\n");
    let (code, _) = refused(&server, &books, &["volume", "delete", "books", "-y"]);
    assert_eq!(code, Some(4));
    let (code, _) = refused(&server, &books, &["volume", "status"]);
    assert_eq!(code, Some(4));
    ok(&server, &books, &["volume", "push"]);
    let deleted = json(&server, &books, &["volume", "delete", "books", "--yes"]);
    assert_eq!(deleted, serde_json::json!({ "ok": true, "name": "books" }));
}
