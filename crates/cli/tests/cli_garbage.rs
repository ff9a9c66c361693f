//! `vm0 gc` and `vm0 fsck` on a data directory, as an operator uses them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use vm0_testkit::{Server, ServerOptions};

const BINARY: &str = env!("CARGO_BIN_EXE_vm0");
const ORPHANS: usize = 300;

fn vm0(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).arg("--data-dir").arg(data_dir);
    command
}

fn output(data_dir: &Path, args: &[&str]) -> Output {
    vm0(data_dir, args).output().expect("vm0 runs")
}

fn json(data_dir: &Path, args: &[&str]) -> Value {
    let output = output(data_dir, args);
    serde_json::from_slice(&output.stdout).expect("one document")
}

/// A server with one volume, whose directory is given.
fn server_with_volume() -> (Server, tempfile::TempDir) {
    let server = ServerOptions::new(BINARY, "fake")
        .arg("--no-runner")
        .start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("a.txt"), "hello\n").expect("a file");
    client(
        &server,
        directory.path(),
        &["volume", "init", "-n", "books"],
    );
    client(&server, directory.path(), &["volume", "push"]);
    (server, directory)
}

fn client(server: &Server, directory: &Path, args: &[&str]) {
    let status = server
        .client(directory, args)
        .stdout(Stdio::null())
        .status()
        .expect("vm0 runs");
    assert!(status.success(), "{args:?}");
}

/// Packs that nothing names.
fn make_orphans(data_dir: &Path) -> Vec<PathBuf> {
    let shard = data_dir.join("objects/packs/ff");
    fs::create_dir_all(&shard).expect("a directory");
    let path = |number: usize| shard.join(format!("ff{number:062x}"));
    let paths: Vec<_> = (0..ORPHANS).map(path).collect();
    for path in &paths {
        fs::write(path, "x").expect("a file");
    }
    paths
}

/// As if two days had gone by since.
fn age(directory: &Path) {
    let then = SystemTime::now() - Duration::from_secs(48 * 3600);
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            age(&path);
        } else {
            let file = File::options().write(true).open(path).expect("a file");
            file.set_modified(then).expect("the time is set");
        }
    }
}

fn left(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| path.exists()).count()
}

/// Kills a collection after a while.
fn kill_after(mut collection: Child, pause: Duration) {
    std::thread::sleep(pause);
    collection.kill().expect("the child is ours");
    collection.wait().expect("the child is ours");
}

#[test]
fn a_collection_that_is_killed_at_any_moment_leaves_nothing_wrong() {
    let (mut server, directory) = server_with_volume();
    let data_dir = server.data_dir().to_owned();
    let orphans = make_orphans(&data_dir);
    age(&data_dir.join("objects"));
    let mut pause = Duration::from_millis(100);
    while left(&orphans) > 0 {
        let collection = vm0(&data_dir, &["gc"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        kill_after(collection.expect("vm0 runs"), pause);
        pause = pause * 3 / 2;
        age(&data_dir.join("objects"));
        let check = output(&data_dir, &["fsck"]);
        assert_eq!(check.status.code(), Some(0), "{check:?}");
    }
    server.crash_and_restart();
    client(&server, directory.path(), &["volume", "pull", "-f"]);
    let text = fs::read_to_string(directory.path().join("a.txt")).expect("it is there");
    assert_eq!(text, "hello\n");
}

#[test]
fn a_collection_beside_a_server_says_what_it_removed() {
    let (server, _directory) = server_with_volume();
    let data_dir = server.data_dir();
    let orphans = make_orphans(data_dir);
    let young = output(data_dir, &["gc"]);
    let expected = "KIND  COUNT  BYTES\nsum   0      0 B\n";
    assert_eq!(String::from_utf8_lossy(&young.stdout), expected);
    let note = String::from_utf8_lossy(&young.stderr).into_owned();
    assert!(note.starts_with(&format!("{ORPHANS} more ")), "{note}");
    age(&data_dir.join("objects"));
    let shown = json(data_dir, &["gc", "--dry-run", "--json"]);
    assert_eq!(left(&orphans), ORPHANS);
    let done = json(data_dir, &["gc", "--json"]);
    let items = serde_json::json!([{ "kind": "pack", "count": ORPHANS, "bytes": ORPHANS }]);
    assert_eq!((&shown["items"], &done["items"]), (&items, &items));
    assert_eq!(
        (&shown["dry_run"], &done["dry_run"]),
        (&true.into(), &false.into())
    );
    assert_eq!((left(&orphans), &done["bytes"]), (0, &ORPHANS.into()));
}

#[test]
fn what_caches_keep_of_old_things_goes_too() {
    let (mut server, directory) = server_with_volume();
    let data_dir = server.data_dir().to_owned();
    let clone = directory.path().join("copy");
    client(
        &server,
        directory.path(),
        &["volume", "clone", "books", "copy"],
    );
    let kept = |name: &str| data_dir.join("archives/v1").join(name);
    let archive = fs::read_dir(kept("")).expect("it is there").next();
    let archive = archive.expect("a download is kept").expect("an entry");
    let gone = kept(&"0".repeat(64));
    fs::copy(archive.path(), &gone).expect("a file");
    server.stop();
    let runner = data_dir.join("runner");
    let tree = |part: &str| runner.join("trees").join(part);
    for part in ["trees/old", "sizes", "building", "contents/aa"] {
        fs::create_dir_all(tree(part)).expect("a directory");
    }
    fs::write(tree("lock"), "").expect("a file");
    fs::write(tree("sizes/old"), "5").expect("a file");
    fs::write(tree("contents/aa/old"), "12345").expect("a file");
    fs::hard_link(tree("contents/aa/old"), tree("trees/old/file")).expect("a link");
    let empty = json(&data_dir, &["gc", "--json"]);
    assert_eq!(empty["items"], serde_json::json!([]));
    age(&data_dir.join("archives"));
    age(&tree("sizes"));
    let bytes = fs::metadata(&gone).expect("it is there").len();
    let items = serde_json::json!([
        { "kind": "kept archive", "count": 1, "bytes": bytes },
        { "kind": "cached version", "count": 1, "bytes": 5 },
    ]);
    for (args, is_left) in [
        (&["gc", "--json", "--dry-run"][..], true),
        (&["gc", "--json"], false),
    ] {
        let report = json(&data_dir, args);
        assert_eq!(report["items"], items);
        for path in [&gone, &tree("trees/old"), &tree("contents/aa/old")] {
            assert_eq!(path.exists(), is_left, "{}", path.display());
        }
    }
    assert!(archive.path().exists() && clone.join("a.txt").exists());
}

#[test]
fn a_check_exits_with_1_and_one_line_for_each_fault() {
    let (server, _directory) = server_with_volume();
    let data_dir = server.data_dir();
    let sound = output(data_dir, &["fsck"]);
    assert_eq!(sound.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&sound.stdout),
        "✓ 2 objects are sound\n"
    );
    fs::remove_dir_all(data_dir.join("objects/packs")).expect("it is there");
    let damaged = output(data_dir, &["fsck"]);
    assert_eq!(damaged.status.code(), Some(1));
    let lines = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(
        lines.starts_with("missing pack ") && lines.lines().count() == 1,
        "{lines}"
    );
    let report = json(data_dir, &["fsck", "--json"]);
    assert_eq!(
        (&report["ok"], &report["items"][0]["state"]),
        (&false.into(), &"missing".into())
    );
}
