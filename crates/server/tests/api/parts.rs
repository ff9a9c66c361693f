//! Uploads in parts (docs/api-extensions.md).

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vm0_blob::PartBuilder;
use vm0_server::{GcOptions, fsck, gc};

use crate::harness::{Answer, Harness};
use crate::storages::{archive, hello, upload, volume};

type Files<'a> = &'a [(&'a str, &'a [u8])];

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn declare(files: Files) -> Value {
    let declared = files.iter().map(|(path, bytes)| {
        json!({ "path": path, "size": bytes.len(), "hash": hash(bytes), "executable": false })
    });
    json!({ "files": declared.collect::<Vec<_>>(), "parts": true })
}

async fn begin(harness: &Harness, volume: &str, files: Files<'_>) -> Value {
    let path = format!("{volume}/upload");
    let answer = harness.post(&path, declare(files)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The chunks that a session asks for.
fn asked(session: &Value) -> Vec<&str> {
    let parts = session["parts"].as_array().unwrap().iter();
    let chunks = parts.flat_map(|part| part["chunks"].as_array().unwrap());
    chunks.map(|chunk| chunk.as_str().unwrap()).collect()
}

/// A part as a session asks for it.
fn part(wanted: &Value, files: Files) -> Vec<u8> {
    let mut part = PartBuilder::new().unwrap();
    for chunk in wanted["chunks"].as_array().unwrap() {
        let content = files.iter().find(|(_, bytes)| hash(bytes) == *chunk);
        part.push(content.unwrap().1).unwrap();
    }
    part.finish()
}

async fn put(harness: &Harness, wanted: &Value, bytes: Vec<u8>) -> Answer {
    let url = wanted["upload_url"].as_str().unwrap();
    Answer::read(harness.http.put(url).body(bytes).send().await.unwrap()).await
}

async fn put_all(harness: &Harness, session: &Value, files: Files<'_>) {
    for wanted in session["parts"].as_array().unwrap() {
        let answer = put(harness, wanted, part(wanted, files)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

async fn commit(harness: &Harness, volume: &str, session: &Value) -> Answer {
    let body = json!({ "upload_session_id": session["upload_session_id"] });
    harness.post(&format!("{volume}/commit"), body).await
}

async fn push(harness: &Harness, volume: &str, files: Files<'_>) -> Value {
    let session = begin(harness, volume, files).await;
    put_all(harness, &session, files).await;
    let answer = commit(harness, volume, &session).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn an_upload_in_parts_asks_only_for_what_the_head_lacks() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let first: Files = &[("a", b"hello\n"), ("b", b"world\n")];
    let second: Files = &[("moved", b"hello\n"), ("b", b"other\n")];
    push(&harness, &volume, first).await;
    let session = begin(&harness, &volume, second).await;
    assert_eq!(session["files"], json!([]));
    assert_eq!(asked(&session), [hash(b"other\n")]);
    let version = push(&harness, &volume, second).await;
    // The archive form makes the same version of it.
    let same = begin(&harness, &volume, second).await;
    let existing = format!("existing:{}", version["id"].as_str().unwrap());
    assert_eq!(
        (&same["upload_session_id"], &same["parts"]),
        (&json!(existing), &json!([]))
    );
    // What the head lacks again is asked for again, although an older version has it.
    let session = begin(&harness, &volume, &[("c", b"world\n")]).await;
    assert_eq!(asked(&session), [hash(b"world\n")]);
    let renamed = begin(&harness, &volume, &[("x", b"other\n")]).await;
    assert_eq!(renamed["parts"], json!([]));
    assert_eq!(commit(&harness, &volume, &renamed).await.status, 200);
    assert!(
        fsck(&harness.directory.path().join("data"))
            .await
            .unwrap()
            .ok
    );
}

#[tokio::test]
async fn a_big_file_that_the_head_has_needs_no_chunks() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let halves: [Vec<u8>; 2] = [vec![1; 4 << 20], vec![2; 1 << 20]];
    let big = halves.concat();
    let chunks = halves
        .each_ref()
        .map(|half| json!({ "hash": hash(half), "size": half.len() }));
    let file = |path: &str, size: usize| json!({ "path": path, "size": size, "hash": hash(&big), "executable": false });
    let path = format!("{volume}/upload");
    let post = async |files: Value| {
        harness
            .post(&path, json!({ "files": files, "parts": true }))
            .await
    };
    let unknown = post(json!([file("big", big.len())])).await;
    unknown.error(400, "invalid_parameter", Some("files.0.chunks"));
    let mut cut = file("big", big.len());
    cut["chunks"] = json!(chunks);
    let session = post(json!([cut])).await.json();
    let contents: Files = &[("", &halves[0]), ("", &halves[1])];
    put_all(&harness, &session, contents).await;
    assert_eq!(commit(&harness, &volume, &session).await.status, 200);
    let session = post(json!([file("moved", big.len())])).await.json();
    assert_eq!(session["parts"], json!([]));
    let moved = commit(&harness, &volume, &session).await;
    assert_eq!(
        (moved.status, &moved.json()["size"]),
        (200, &json!(big.len()))
    );
    let other_size = post(json!([file("other", big.len() + 1)])).await;
    other_size.error(400, "invalid_parameter", Some("files.0.chunks"));
}

#[tokio::test]
async fn a_hash_alone_gives_nobody_any_content() {
    let harness = Harness::start().await;
    let mine = volume(&harness, "mine").await;
    let secret: Files = &[("s", b"a secret\n")];
    push(&harness, &mine, secret).await;
    let body = json!({ "name": "theirs" });
    let post = async |path: &str, body: Value| {
        let url = format!("{}{path}", harness.server.url());
        let request = harness.http.post(url).bearer_auth(&harness.other_token);
        Answer::read(request.json(&body).send().await.unwrap()).await
    };
    let created = post("/v1/volumes", body).await.json();
    let theirs = format!("/v1/volumes/{}", created["id"].as_str().unwrap());
    for files in [secret, &[("s", b"a secret\n"), ("t", b"mine\n")]] {
        let session = post(&format!("{theirs}/upload"), declare(files))
            .await
            .json();
        assert!(
            asked(&session).contains(&hash(b"a secret\n").as_str()),
            "{session}"
        );
        let body = json!({ "upload_session_id": session["upload_session_id"] });
        let refused = post(&format!("{theirs}/commit"), body).await;
        refused.error(400, "upload_incomplete", Some("upload_session_id"));
    }
    // Another storage of the same user is not looked at either.
    let other = volume(&harness, "other").await;
    let session = begin(&harness, &other, secret).await;
    assert_eq!(asked(&session), [hash(b"a secret\n")]);
}

#[tokio::test]
async fn an_upload_that_was_cut_goes_on_where_it_was() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let contents: Vec<Vec<u8>> = (0..6_u8).map(|n| vec![n; 3 << 20]).collect();
    let names: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(&contents)
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let session = begin(&harness, &volume, &files).await;
    assert_eq!(session["parts"].as_array().unwrap().len(), 2);
    let wanted = &session["parts"][0];
    put(&harness, wanted, part(wanted, &files)).await;
    let incomplete = commit(&harness, &volume, &session).await;
    let message = incomplete.error(400, "upload_incomplete", Some("upload_session_id"));
    assert_eq!(message, "Part 1 not uploaded - upload failed or incomplete");
    let again = begin(&harness, &volume, &files).await;
    assert_eq!(again["upload_session_id"], session["upload_session_id"]);
    assert_eq!(again["expires_at"], session["expires_at"]);
    let left: Vec<_> = again["parts"].as_array().unwrap().iter().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["chunks"], session["parts"][1]["chunks"]);
    // Other files are another upload, and so are the same ones under an archive.
    let other = begin(&harness, &volume, &files[..5]).await;
    assert_ne!(other["upload_session_id"], session["upload_session_id"]);
    put_all(&harness, &again, &files).await;
    let first = commit(&harness, &volume, &session).await;
    let second = commit(&harness, &volume, &session).await;
    assert_eq!((first.status, first.text), (200, second.text));
    let uploads = harness.directory.path().join("data/objects/uploads");
    let session = session["upload_session_id"].as_str().unwrap();
    let session = session.rsplit(':').next().unwrap();
    assert!(!uploads.join(session).exists(), "its objects are gone");
}

#[tokio::test]
async fn two_commits_of_one_session_at_a_time_both_succeed() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let content: Vec<u8> = (0..3_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(4 << 20)
        .collect();
    let files: Files = &[("a", &content[1..])];
    let session = begin(&harness, &volume, files).await;
    put_all(&harness, &session, files).await;
    let commits = (0..4).map(|_| commit(&harness, &volume, &session));
    let answers = futures::future::join_all(commits).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text, answers[0].text);
    }
}

#[tokio::test]
async fn a_bad_part_is_refused_and_the_session_stays_usable() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let files: Files = &[("a", b"hello\n")];
    let session = begin(&harness, &volume, files).await;
    let wanted = &session["parts"][0];
    let mut other = PartBuilder::new().unwrap();
    other.push(b"jello\n").unwrap();
    put(&harness, wanted, other.finish()).await;
    let message = commit(&harness, &volume, &session).await.error(
        400,
        "upload_invalid",
        Some("upload_session_id"),
    );
    assert_eq!(message, "part 0 has a chunk of another hash than declared");
    put(&harness, wanted, vec![0; 19 << 20])
        .await
        .error(413, "payload_too_large", Some("body"));
    let altered =
        json!({ "upload_url": wanted["upload_url"].as_str().unwrap().replace("part-0", "part-1") });
    put(&harness, &altered, Vec::new())
        .await
        .error(403, "invalid_signature", None);
    put_all(&harness, &session, files).await;
    assert_eq!(commit(&harness, &volume, &session).await.status, 200);
}

#[tokio::test]
async fn a_declaration_for_parts_must_be_complete() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let declare = async |file: Value| {
        let body = json!({ "files": [file], "parts": true });
        harness.post(&format!("{volume}/upload"), body).await
    };
    let h = hash(b"hello\n");
    let chunk = |size: u64| json!([{ "hash": h, "size": size }]);
    for (file, param) in [
        (
            json!({ "path": "a", "size": 6, "executable": false }),
            "files.0.hash",
        ),
        (
            json!({ "path": "a", "size": 6, "hash": h }),
            "files.0.executable",
        ),
        (
            json!({ "path": "a", "size": 5 << 20, "hash": h, "executable": false }),
            "files.0.chunks",
        ),
        (
            json!({ "path": "a", "size": 6, "hash": h, "executable": false, "chunks": chunk(7) }),
            "files.0.chunks",
        ),
        (
            json!({ "path": "a", "size": 6, "hash": h, "executable": false, "chunks": [1] }),
            "files.0.chunks",
        ),
        (
            json!({ "path": "a", "size": 0, "hash": h, "executable": false }),
            "files.0.hash",
        ),
    ] {
        let answer = declare(file).await;
        answer.error(400, "invalid_parameter", Some(param));
    }
    let link = json!({ "path": "l", "size": 0, "link_target": "a" });
    assert_eq!(declare(link).await.json()["parts"], json!([]));
    let uploads = harness.directory.path().join("data/objects/uploads");
    let kept = std::fs::read_dir(uploads).unwrap().count();
    assert_eq!(kept, 1, "of a refused declaration nothing is kept");
}

#[tokio::test]
async fn clients_that_know_only_archives_see_no_difference() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let body = json!({ "files": hello() });
    let session = harness.post(&format!("{volume}/upload"), body).await.json();
    let keys: Vec<_> = session.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["upload_session_id", "files", "expires_at"]);
    let session = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let body = json!({ "upload_session_id": session });
    let version = harness.post(&format!("{volume}/commit"), body).await.json();
    let parts = push(&harness, &volume, &[("a.txt", b"hello\n")]).await;
    assert_eq!(parts, version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_between_the_steps_of_an_upload_lose_nothing() {
    let harness = Harness::start_with(|config| {
        config.gc_interval = Duration::from_millis(3);
        config.gc_grace = Duration::ZERO;
    })
    .await;
    let data_dir = harness.directory.path().join("data");
    let no_grace = GcOptions {
        dry_run: false,
        older_than_days: None,
        grace: Duration::ZERO,
    };
    let volume = volume(&harness, "v").await;
    let collect = || async { gc(&data_dir, no_grace).await.unwrap() };
    let mut contents: Vec<Vec<u8>> = (0..8)
        .map(|_| uuid::Uuid::new_v4().as_bytes().to_vec())
        .collect();
    for round in 0..12 {
        contents[round % 8] = uuid::Uuid::new_v4().as_bytes().repeat(100);
        let names: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
        let files: Vec<(&str, &[u8])> = names
            .iter()
            .zip(&contents)
            .map(|(name, content)| (name.as_str(), content.as_slice()))
            .collect();
        let session = begin(&harness, &volume, &files).await;
        collect().await;
        // Another push moves the head on, so that the base is no head any more.
        if round % 3 == 0 {
            push(&harness, &volume, &[("only", round.to_string().as_bytes())]).await;
            collect().await;
        }
        put_all(&harness, &session, &files).await;
        collect().await;
        let answer = commit(&harness, &volume, &session).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        collect().await;
    }
    let report = fsck(&data_dir).await.unwrap();
    assert!(report.ok, "{report:?}");
}
