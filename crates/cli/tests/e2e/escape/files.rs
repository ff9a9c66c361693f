//! Files that are made to do harm when the workspace is saved: what the API gives back holds
//! nothing of the host, and server and runner still work.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tar::EntryType;
use vm0_testkit::{Api, TestProcess};

use super::line::{Line, judge};
use super::plants::{Plants, SECRET};
use crate::sandboxes::server;

const HOSTILE: &str = include_str!("hostile_files.py");
const RACING: &str = include_str!("racing_files.py");
const LIMIT: Duration = Duration::from_secs(120);
const AT_LEAST: usize = 16;
const SPARSE_BYTES: usize = 1 << 24;

/// A member of an archive.
struct Member {
    kind: EntryType,
    mode: u32,
    link: Option<Vec<u8>>,
    content: Vec<u8>,
}

type Members = BTreeMap<Vec<u8>, Member>;

pub(super) async fn campaign(kind: &str) {
    let plants = Plants::new();
    let secret = plants.secret();
    let control = control(&secret);
    let server = server(kind);
    let api = server.api();
    api.shell_agent("filler").await;
    let saved = save(&api, &secret, "hostile", HOSTILE, "").await;
    let raced = save(&api, &secret, "racing", RACING, "setsid ").await;
    let mut inside = judged(&saved, &secret);
    inside.extend(["race-file", "race-directory"].map(|probe| {
        let line = Line::new(probe, tells(&raced), "the racing artifact");
        assert!(!raced.is_empty(), "nothing of the race was saved");
        line
    }));
    inside.push(terabyte(&api).await);
    judge("files", kind, AT_LEAST, &control, &inside);
    expect_rest(&saved);
    let body = json!({ "agent": "filler", "artifact_name": "hostile",
                       "prompt": "cat plain link-absolute 2>/dev/null; true" });
    let next = api.run_to_end(&body).await;
    assert_eq!(
        (&next["status"], &next["output"]),
        (&json!("completed"), &json!("plain"))
    );
}

/// Runs a script in the workspace and gives the artifact as it comes back.
async fn save(api: &Api, secret: &Path, name: &str, script: &str, before: &str) -> Members {
    let secret = secret.display();
    let python = format!("SECRET='{secret}' {before}python3 /tmp/script");
    let started = if before.is_empty() {
        python
    } else {
        // Goes on when its agent has ended, until the sandbox does.
        format!("mkfifo /tmp/said; {python} > /tmp/said & read word < /tmp/said")
    };
    let prompt = format!("cat > /tmp/script <<'END'\n{script}\nEND\n{started}");
    let run = api
        .run_to_end(&json!({ "agent": "filler", "prompt": prompt, "artifact_name": name }))
        .await;
    assert_eq!(run["status"], "completed", "{run}");
    let id = api.storage_id("artifacts", name).await;
    members(&api.download_archive("artifacts", &id, None).await)
}

fn members(archive: &[u8]) -> Members {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut members = Members::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("the content");
        let member = Member {
            kind: entry.header().entry_type(),
            mode: entry.header().mode().expect("a mode"),
            link: entry.link_name_bytes().map(|link| link.into_owned()),
            content,
        };
        let path = entry.path_bytes().into_owned();
        assert!(members.insert(path, member).is_none(), "a path twice");
    }
    members
}

/// Whether anything in it is of the host.
fn tells(members: &Members) -> bool {
    members.values().any(|member| {
        let text = String::from_utf8_lossy(&member.content);
        text.contains(SECRET)
    })
}

/// What came of each file.
fn judged(saved: &Members, secret: &Path) -> Vec<Line> {
    let has = |path: &str| saved.contains_key(path.as_bytes());
    let is = |path: &str, text: &str| {
        saved
            .get(path.as_bytes())
            .is_some_and(|member| member.content == text.as_bytes())
    };
    let link = |path: &str, target: &str| {
        saved.get(path.as_bytes()).is_some_and(|member| {
            member.kind == EntryType::Symlink && member.link.as_deref() == Some(target.as_bytes())
        })
    };
    let path = secret.to_string_lossy();
    let relative = format!("{}{}", "../".repeat(40), path.trim_start_matches('/'));
    let directory = secret.parent().expect("a directory").to_string_lossy();
    let told = tells(saved);
    let sparse = saved.get(b"sparse".as_slice());
    let zeroes = sparse.is_some_and(|member| member.content == vec![0; SPARSE_BYTES]);
    let modes = saved.values().any(|member| member.mode & 0o7000 != 0);
    let utf8 = saved.keys().all(|path| std::str::from_utf8(path).is_ok());
    let special = |member: &Member| {
        !matches!(
            member.kind,
            EntryType::Regular | EntryType::Symlink | EntryType::Directory
        )
    };
    let specials = saved.values().any(special);
    [
        ("symlink-absolute", told || !link("link-absolute", &path)),
        (
            "symlink-relative",
            told || !link("link-relative", &relative),
        ),
        (
            "symlink-through-proc",
            told || !link("link-proc", &format!("/proc/self/root{path}")),
        ),
        (
            "symlink-to-directory",
            told || !link("link-directory", &directory),
        ),
        ("hard-link-to-outside", told || has("hard-outside")),
        ("fifo", has("fifo") || specials),
        ("socket", has("socket") || specials),
        ("device", has("device") || specials),
        ("sparse-file", !zeroes),
        ("name-not-utf-8", !utf8),
        ("name-with-newline", has("new") || has("line")),
        ("name-as-option", !is("-rf", "content")),
        (
            "whiteout-by-name",
            !is(".wh.plain", "content") || !is("plain", "plain"),
        ),
        ("opaque-by-name", !is(".wh..wh..opq", "content")),
        ("overlay-redirect", !is("redirected/file", "content")),
        ("setuid-file", modes || !has("setuid")),
        ("unreadable-file", !is("unreadable", "content")),
        ("closed-directory", !is("closed/file", "content")),
    ]
    .into_iter()
    .map(|(probe, hit)| Line::new(probe, hit, "the saved artifact"))
    .collect()
}

/// What is harmless comes back as it was.
fn expect_rest(saved: &Members) {
    let long = "n".repeat(255);
    let deep = format!("{}file", "deep/".repeat(100));
    for path in ["back\\slash", &long, &deep] {
        let member = saved.get(path.as_bytes());
        let member = member.unwrap_or_else(|| panic!("{path:?} was not saved"));
        assert_eq!(member.content, b"content", "{path:?}");
    }
    assert_eq!(saved[b"hard-inside".as_slice()].content, b"plain");
}

/// A file of more bytes than a version may have, and none on the disk.
async fn terabyte(api: &Api) -> Line {
    let body = json!({ "agent": "filler", "artifact_name": "terabyte",
                       "prompt": "truncate -s 1T huge; stat -c %s huge" });
    let run = api.run_to_end(&body).await;
    let refused = run["status"] == "failed"
        && run["artifact_version"] == Value::Null
        && run["error"]
            .as_str()
            .is_some_and(|text| text.contains("bytes"));
    Line::new("sparse-terabyte", !refused, run.to_string())
}

/// The same files outside, and what somebody careless makes of them.
fn control(secret: &Path) -> Vec<Line> {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command
            .args(["-c", script])
            .current_dir(place.path())
            .env("SECRET", secret)
            .stdin(Stdio::null());
        command
    };
    let status = python(HOSTILE).status().expect("python3 runs");
    assert!(status.success());
    let reads = |name: &str| fs::read_to_string(at(name)).is_ok_and(|text| text == SECRET);
    let kind = |name: &str| fs::symlink_metadata(at(name)).map(|found| found.file_type());
    let holds = |name: &str| fs::read_to_string(at(name)).is_ok_and(|text| text == "content");
    let sparse = fs::metadata(at("sparse")).expect("it is there");
    let odd = fs::read_dir(place.path())
        .expect("it is there")
        .flatten()
        .any(|entry| entry.file_name().as_bytes() == b"\xff\xfe");
    let redirect = Command::new("python3")
        .args([
            "-c",
            "import os; os.getxattr('redirected', 'user.overlay.redirect')",
        ])
        .current_dir(place.path())
        .status();
    let huge = fs::File::create(at("huge")).and_then(|file| file.set_len(1 << 40));
    let (file, directory) = race(python(RACING), place.path());
    [
        ("symlink-absolute", reads("link-absolute")),
        ("symlink-relative", reads("link-relative")),
        ("symlink-through-proc", reads("link-proc")),
        ("symlink-to-directory", reads("link-directory/secret")),
        ("hard-link-to-outside", reads("hard-outside")),
        ("fifo", kind("fifo").is_ok_and(|kind| kind.is_fifo())),
        ("socket", kind("socket").is_ok_and(|kind| kind.is_socket())),
        (
            "device",
            kind("device").is_ok_and(|kind| kind.is_char_device()),
        ),
        (
            "sparse-file",
            sparse.blocks() == 0 && sparse.len() == SPARSE_BYTES as u64,
        ),
        ("name-not-utf-8", odd),
        ("name-with-newline", holds("new\nline")),
        ("name-as-option", holds("-rf")),
        ("whiteout-by-name", holds(".wh.plain")),
        ("opaque-by-name", holds(".wh..wh..opq")),
        (
            "overlay-redirect",
            redirect.is_ok_and(|status| status.success()),
        ),
        (
            "setuid-file",
            fs::metadata(at("setuid")).is_ok_and(|found| found.mode() & 0o6000 != 0),
        ),
        ("unreadable-file", holds("unreadable")),
        ("closed-directory", holds("closed/file")),
        ("race-file", file),
        ("race-directory", directory),
        ("sparse-terabyte", huge.is_ok()),
    ]
    .into_iter()
    .map(|(probe, works)| Line::new(probe, works, "outside"))
    .collect()
}

/// Whether somebody who reads by path is led to the host's file, and into its directory.
fn race(command: Command, place: &Path) -> (bool, bool) {
    let mut racer = TestProcess::start(command);
    assert_eq!(racer.stdout_line(), "racing");
    let start = Instant::now();
    let (mut file, mut directory) = (false, false);
    let led = |name: &str| {
        fs::read_to_string(place.join("race").join(name)).is_ok_and(|text| text == SECRET)
    };
    while !(file && directory) && start.elapsed() < LIMIT {
        file |= led("file");
        directory |= led("directory/secret");
    }
    racer.kill();
    (file, directory)
}
