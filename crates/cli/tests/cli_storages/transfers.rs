//! What goes over the line, and what happens when it breaks or somebody presses Ctrl-C.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vm0_testkit::{Server, ServerOptions};

use crate::proxy::Proxy;
use crate::{BINARY, command, json, ok, refused, server, vm0};

const MIB: usize = 1 << 20;

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len / 8).flatten().collect()
}

/// A server whose signed addresses lead over `proxy`.
fn server_behind(proxy: &Proxy) -> Server {
    let server = ServerOptions::new(BINARY, "fake")
        .arg("--no-runner")
        .arg(format!("--public-url={}", proxy.url()))
        .start();
    proxy.lead_to(server.url());
    server
}

fn volume(server: &Server, root: &Path, files: &[(&str, Vec<u8>)]) {
    fs::create_dir_all(root).unwrap();
    for (path, content) in files {
        fs::write(root.join(path), content).unwrap();
    }
    ok(server, root, &["volume", "init", "-n", "data"]);
}

fn note(server: &Server, dir: &Path, args: &[&str]) -> String {
    let output = vm0(server, dir, args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Starts a command and presses Ctrl-C when `moment` has come.
fn interrupt(mut command: Command, moment: impl Fn() -> bool) -> Option<i32> {
    let child: Child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !moment() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    output.status.code()
}

fn left_behind(own: &Path) -> Vec<String> {
    let entries = fs::read_dir(own).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "storage.yaml").collect()
}

#[test]
fn a_push_sends_only_what_the_server_lacks() {
    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let mut big = noise(9 * MIB);
    volume(&server, &root, &[("big", big.clone()), ("a", noise(4000))]);
    let first = note(&server, &root, &["volume", "push"]);
    assert!(first.starts_with("Uploading 9.4 MB in 1 part\n"), "{first}");
    fs::write(root.join("b"), noise(2000)).unwrap();
    let second = note(&server, &root, &["volume", "push"]);
    assert!(
        second.starts_with("Uploading 2.0 kB in 1 part\n"),
        "{second}"
    );
    fs::rename(root.join("big"), root.join("moved")).unwrap();
    let moved = vm0(&server, &root, &["volume", "push"]);
    assert!(moved.stderr.is_empty(), "{moved:?}");
    assert!(moved.stdout.starts_with("✓ Upload complete".as_bytes()));
    big[5 * MIB] ^= 1;
    fs::write(root.join("moved"), &big).unwrap();
    let changed = json(&server, &root, &["volume", "push"]);
    assert_eq!(changed["changed"], true);
    let stored = json(&server, &root, &["volume", "status"]);
    assert_eq!(stored["local"]["state"], "same");
    ok(&server, dir.path(), &["volume", "clone", "data", "copy"]);
    assert!(fs::read(dir.path().join("copy/moved")).unwrap() == big);
}

#[test]
fn a_push_over_a_line_that_breaks_goes_on_the_next_time() {
    let proxy = Proxy::cutting();
    let server = server_behind(&proxy);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let contents = (1..=6).map(|n| noise(n * 2 * MIB));
    let names = ["1", "2", "3", "4", "5", "6"];
    let files: Vec<_> = names.into_iter().zip(contents).collect();
    volume(&server, &root, &files);
    // More than the two parts that are on the line at a time, so that one has arrived.
    proxy.up().cut_after(36 << 20);
    let (code, message) = refused(&server, &root, &["volume", "push"]);
    assert_eq!(code, Some(8), "{message}");
    proxy.up().taken();
    let (code, _) = refused(&server, &root, &["volume", "status"]);
    assert_eq!(code, Some(4), "nothing is committed");
    proxy.up().mend();
    ok(&server, &root, &["volume", "push"]);
    let rest = proxy.up().taken();
    assert!((1 << 20..36 << 20).contains(&rest), "{rest} of 42 MiB");
    let local = json(&server, &root, &["volume", "status"]);
    assert_eq!(local["local"]["state"], "same");
}

#[test]
fn a_download_over_a_line_that_breaks_goes_on_where_it_was() {
    let proxy = Proxy::cutting();
    let server = server_behind(&proxy);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let content = noise(20 * MIB);
    volume(&server, &root, &[("big", content.clone())]);
    ok(&server, &root, &["volume", "push"]);
    proxy.down().taken();
    proxy.down().cut_after(12 << 20);
    let mend = || {
        while proxy.down().left() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy.down().mend();
    };
    std::thread::scope(|scope| {
        scope.spawn(mend);
        ok(&server, dir.path(), &["volume", "clone", "data", "copy"]);
    });
    assert!(fs::read(dir.path().join("copy/big")).unwrap() == content);
    let taken = proxy.down().taken();
    assert!(taken < 22 << 20, "{taken} bytes for 20 MiB");
}

#[test]
fn an_interrupted_push_commits_nothing() {
    let proxy = Proxy::stalling();
    let server = server_behind(&proxy);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    volume(&server, &root, &[("big", noise(20 * MIB))]);
    for args in [&["volume", "push"][..], &["volume", "push", "-f"]] {
        proxy.up().cut_after(1 << 20);
        let mut push = command(&server, &root, args);
        push.env("TMPDIR", &temporary);
        let code = interrupt(push, || proxy.up().left() < 0);
        assert_eq!(code, Some(130), "{args:?}");
        assert_eq!(left_behind(&temporary), [""; 0]);
        proxy.up().mend();
        let (code, _) = refused(&server, &root, &["volume", "status"]);
        assert_eq!(code, Some(4), "{args:?}");
    }
}

#[test]
fn an_interrupted_download_leaves_all_as_it_was() {
    let proxy = Proxy::stalling();
    let server = server_behind(&proxy);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    volume(&server, &root, &[("big", noise(20 * MIB))]);
    ok(&server, &root, &["volume", "push"]);
    fs::write(root.join("big"), "short").unwrap();
    proxy.down().cut_after(1 << 20);
    let pull = command(&server, &root, &["volume", "pull", "-f"]);
    let code = interrupt(pull, || proxy.down().left() < 0);
    assert_eq!(code, Some(130));
    assert_eq!(left_behind(&root.join(".vm0")), [""; 0]);
    assert_eq!(fs::read_to_string(root.join("big")).unwrap(), "short");
    proxy.down().cut_after(1 << 20);
    let clone = command(&server, dir.path(), &["volume", "clone", "data", "copy"]);
    let code = interrupt(clone, || proxy.down().left() < 0);
    assert_eq!(code, Some(130));
    assert!(!dir.path().join("copy").exists());
}

#[test]
fn a_server_that_is_killed_during_a_push_has_all_of_it_or_nothing() {
    let proxy = Proxy::cutting();
    let mut server = server_behind(&proxy);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    volume(
        &server,
        &root,
        &[("big", noise(20 * MIB)), ("a", noise(9 * MIB))],
    );
    let mut pause = Duration::from_millis(150);
    for round in 0..4_usize {
        fs::write(root.join("big"), noise(20 * MIB + 8 * (round + 1))).unwrap();
        let mut push = command(&server, &root, &["volume", "push"]);
        let push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        std::thread::sleep(pause);
        pause += Duration::from_millis(250);
        server.crash_and_restart();
        proxy.lead_to(server.url());
        push.unwrap().wait_with_output().unwrap();
        let check = |args: &[&str]| {
            let mut fsck = Command::new(BINARY);
            let fsck = fsck.args(args).arg("--data-dir").arg(server.data_dir());
            let output = fsck.output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        check(&["fsck"]);
        ok(&server, &root, &["volume", "push"]);
        check(&["gc"]);
        check(&["fsck"]);
        let local = json(&server, &root, &["volume", "status"]);
        assert_eq!(local["local"]["state"], "same");
    }
}
