//! Volumes and artifacts: upload, commit, download (API 8).

use std::io::Read;

use reqwest::Method;
use serde_json::{Value, json};
use vm0_model::{StorageKind, Timestamp, UserId};
use vm0_store::record::StorageRecord;
use vm0_store::{SqliteStore, StorageStore, UserStore};

use crate::harness::{Answer, Harness};

pub(crate) const H: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) fn hello() -> Value {
    json!([{ "path": "a.txt", "size": 6, "hash": H }])
}

pub(crate) async fn volume(harness: &Harness, name: &str) -> String {
    let answer = harness.post("/v1/volumes", json!({ "name": name })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    format!("/v1/volumes/{}", answer.json()["id"].as_str().unwrap())
}

async fn put(harness: &Harness, url: &Value, body: Vec<u8>) -> Answer {
    Answer::read(
        harness
            .http
            .put(url.as_str().unwrap())
            .body(body)
            .send()
            .await
            .unwrap(),
    )
    .await
}

/// Declares `files` and puts both objects; the session.
pub(crate) async fn upload(
    harness: &Harness,
    volume: &str,
    files: &Value,
    archive: Vec<u8>,
) -> Value {
    let session = harness
        .post(&format!("{volume}/upload"), json!({ "files": files }))
        .await
        .json();
    let manifest = json!({
        "version": "x", "createdAt": "2026-01-15T10:30:00.000Z", "totalSize": 6, "fileCount": 1, "files": files,
    });
    assert_eq!(
        put(harness, &session["files"][0]["upload_url"], archive)
            .await
            .status,
        200
    );
    let manifest = manifest.to_string().into_bytes();
    assert_eq!(
        put(harness, &session["files"][1]["upload_url"], manifest)
            .await
            .status,
        200
    );
    session["upload_session_id"].clone()
}

#[tokio::test]
async fn what_is_uploaded_and_committed_is_downloaded() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "input-data").await;
    harness
        .post("/v1/volumes", json!({ "name": "input-data" }))
        .await
        .error(409, "resource_already_exists", Some("name"));
    let message =
        harness
            .get(&format!("{volume}/download"))
            .await
            .error(404, "resource_not_found", None);
    assert_eq!(message, "Volume 'input-data' has no versions");
    let session = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("./a.txt", b"hello\n")]),
    )
    .await;
    let commit = format!("{volume}/commit");
    let body = json!({ "upload_session_id": session, "message": "Initial upload", "expected_version_id": null });
    let version = harness.post(&commit, body.clone()).await.json();
    let id = version["id"].as_str().unwrap();
    assert!(
        session
            .as_str()
            .unwrap()
            .starts_with(&format!("upload:{id}:"))
    );
    let storage = volume.rsplit('/').next().unwrap();
    assert_eq!(
        version,
        json!({
            "id": id, "volume_id": storage, "size": 6, "file_count": 1, "message": "Initial upload",
            "created_by": "user", "created_at": version["created_at"],
        })
    );
    // The head is the version being committed already, so the expectation holds again.
    assert_eq!(harness.post(&commit, body).await.json(), version);
    let again = harness
        .post(&format!("{volume}/upload"), json!({ "files": hello() }))
        .await
        .json();
    assert_eq!(again["upload_session_id"], format!("existing:{id}"));
    assert_eq!(again["files"], json!([]));
    let redirect = harness
        .get(&format!("{volume}/download?version_id={}", &id[..8]))
        .await;
    assert_eq!(redirect.status, 302);
    let location = redirect.header("location").unwrap();
    let answer = harness.http.get(location).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/gzip");
    let name = format!("attachment; filename=\"input-data-{}.tar.gz\"", &id[..8]);
    assert_eq!(answer.headers()["content-disposition"], name.as_str());
    let bytes = answer.bytes().await.unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    let mut entry = tar.entries().unwrap().next().unwrap().unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    assert_eq!(
        (entry.path().unwrap().to_str(), text.as_str()),
        (Some("a.txt"), "hello\n")
    );
}

#[tokio::test]
async fn a_signed_url_holds_only_as_it_was_signed() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let session = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let body = json!({ "upload_session_id": session });
    assert_eq!(
        harness.post(&format!("{volume}/commit"), body).await.status,
        200
    );
    let redirect = harness.get(&format!("{volume}/download")).await;
    let location = redirect.header("location").unwrap();
    for altered in [
        location.replace("signature=", "signature=0"),
        location.replace("/archives/", "/archives/x"),
        location.replace("expires=", "expires=9"),
    ] {
        let answer = Answer::read(harness.http.get(altered).send().await.unwrap()).await;
        answer.error(403, "invalid_signature", None);
    }
    let head = harness.http.head(location).send().await.unwrap();
    assert_eq!(head.status(), 200);
    for reference in ["latest", "abc", "zzzzzzzz", "00000000"] {
        harness
            .get(&format!("{volume}/download?version_id={reference}"))
            .await
            .error(404, "resource_not_found", None);
    }
}

#[tokio::test]
async fn a_bad_commit_says_why_and_leaves_the_session_usable() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let commit = async |session: &Value| {
        harness
            .post(
                &format!("{volume}/commit"),
                json!({ "upload_session_id": session }),
            )
            .await
    };
    let param = Some("upload_session_id");
    let message = commit(&json!("abc"))
        .await
        .error(400, "invalid_parameter", param);
    assert_eq!(message, "Invalid upload_session_id format");
    let existing = json!(format!("existing:{H}"));
    assert_eq!(
        commit(&existing)
            .await
            .error(400, "invalid_parameter", param),
        "Version not found"
    );
    let message = commit(&json!("upload:x:y"))
        .await
        .error(400, "invalid_parameter", param);
    assert_eq!(message, "Upload session not found or expired");
    let session = harness
        .post(&format!("{volume}/upload"), json!({ "files": hello() }))
        .await
        .json();
    let message =
        commit(&session["upload_session_id"])
            .await
            .error(400, "upload_incomplete", param);
    assert_eq!(
        message,
        "Manifest not uploaded - upload failed or incomplete"
    );
    for bad in [
        archive(&[("a.txt", b"jello\n")]),
        archive(&[("b.txt", b"hello\n")]),
        b"no gzip".to_vec(),
    ] {
        let session = upload(&harness, &volume, &hello(), bad).await;
        commit(&session).await.error(400, "upload_invalid", param);
    }
    let session = upload(&harness, &volume, &hello(), archive(&[])).await;
    commit(&session).await.error(400, "upload_invalid", param);
    assert_eq!(
        harness.get(&format!("{volume}/versions")).await.json()["data"],
        json!([])
    );
    let other = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let body = json!({ "upload_session_id": other, "expected_version_id": H });
    harness.post(&format!("{volume}/commit"), body).await.error(
        409,
        "version_conflict",
        Some("expected_version_id"),
    );
    assert_eq!(commit(&other).await.status, 200);
}

#[tokio::test]
async fn declarations_and_objects_over_a_limit_are_refused() {
    let harness = Harness::start_with(|config| config.version_max_bytes = 1000).await;
    let volume = volume(&harness, "v").await;
    let declare = async |files: Value| {
        harness
            .post(&format!("{volume}/upload"), json!({ "files": files }))
            .await
    };
    declare(json!([{ "path": "a", "size": 1001 }])).await.error(
        413,
        "payload_too_large",
        Some("files"),
    );
    declare(json!([{ "path": "../a", "size": 1 }])).await.error(
        400,
        "invalid_parameter",
        Some("files.0.path"),
    );
    let session = declare(json!([{ "path": "a", "size": 1 }])).await.json();
    let url = &session["files"][0]["upload_url"];
    put(&harness, url, vec![0; 1 << 20])
        .await
        .error(413, "payload_too_large", Some("body"));
    let altered = json!(
        url.as_str()
            .unwrap()
            .replace("archive.tar.gz", "manifest.json")
    );
    put(&harness, &altered, vec![])
        .await
        .error(403, "invalid_signature", None);
    let get = harness.http.request(Method::GET, url.as_str().unwrap());
    assert_eq!(get.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_run_mounts_what_its_references_name() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "in").await;
    let config = json!({
        "version": "1.0",
        "agents": { "demo": { "framework": "shell", "volumes": ["data:/data", "more:/more"] } },
        "volumes": { "data": { "name": "${{ vars.NAME }}" }, "more": { "name": "none", "optional": true } },
    });
    harness
        .post("/v1/agents", json!({ "config": config }))
        .await;
    let run = |volumes: Value| {
        let vars = json!({ "NAME": "in" });
        harness.post(
            "/v1/runs",
            json!({ "prompt": "x", "agent": "demo", "variables": vars, "volumes": volumes }),
        )
    };
    let message = run(json!({}))
        .await
        .error(400, "invalid_parameter", Some("volumes.data"));
    assert_eq!(message, "Volume 'in' has no versions");
    let session = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let body = json!({ "upload_session_id": session });
    let version = harness.post(&format!("{volume}/commit"), body).await.json();
    run(json!({ "data": "00000000" }))
        .await
        .error(400, "invalid_parameter", Some("volumes.data"));
    run(json!({ "more": "00000000" }))
        .await
        .error(400, "invalid_parameter", Some("volumes.more"));
    let created = run(json!({ "data": "latest", "undeclared": "x" }))
        .await
        .json();
    assert_eq!(created["volumes"], json!({ "data": "latest" }));
    let spec = harness.claim().await["spec"].clone();
    assert_eq!(spec["volumes"][0]["version"]["version_id"], version["id"]);
    assert_eq!(spec["volumes"][0]["path"], "/data");
    let run = harness
        .get(&format!("/v1/runs/{}", created["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(run["volumes"], json!({ "data": version["id"] }));
}

/// A volume with the id of the specification's example, which no request could choose.
async fn example_volume(harness: &Harness) {
    let store = SqliteStore::open(&harness.directory.path().join("data/vm0.db"))
        .await
        .unwrap();
    let now = Timestamp::from_millis(1_768_473_000_000);
    let user = store
        .user_ensure(UserId::from_uuid(uuid::Uuid::now_v7()), "ada", now)
        .await
        .unwrap();
    let storage = StorageRecord {
        id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        user_id: user.id,
        kind: StorageKind::Volume,
        name: "example".to_owned(),
        head: None,
        created_at: now,
        updated_at: now,
    };
    store.storage_create(storage).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_example_of_the_specification_has_its_exact_ids() {
    let harness = Harness::start().await;
    example_volume(&harness).await;
    let volume = "/v1/volumes/11111111-2222-4333-8444-555555555555";
    let expected = "fecf3b842560e310bc59fdf947a715e750ec491ebc8fd2157764ff48520927e8";
    let session = upload(
        &harness,
        volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    assert!(
        session
            .as_str()
            .unwrap()
            .starts_with(&format!("upload:{expected}:"))
    );
    let body = json!({ "upload_session_id": session, "message": "Initial upload" });
    let version = harness.post(&format!("{volume}/commit"), body).await.json();
    assert_eq!(version["id"], expected);
    let undeclared = json!([{ "path": "a.txt", "size": 6 }]);
    let session = upload(
        &harness,
        volume,
        &undeclared,
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let provisional = "ca7afbedcb463af43cb2fa235041f583ece9d71ddbcd4cfcceb1f7c1fc7a83ce";
    assert!(
        session
            .as_str()
            .unwrap()
            .starts_with(&format!("upload:{provisional}:"))
    );
    let body = json!({ "upload_session_id": session, "expected_version_id": expected });
    let again = harness.post(&format!("{volume}/commit"), body).await.json();
    assert_eq!(
        (&again["id"], &again["message"]),
        (&json!(expected), &json!("Initial upload"))
    );
}

#[tokio::test]
async fn a_fault_of_the_server_tells_nothing_of_its_cause() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "v").await;
    let session = upload(
        &harness,
        &volume,
        &hello(),
        archive(&[("a.txt", b"hello\n")]),
    )
    .await;
    let body = json!({ "upload_session_id": session });
    assert_eq!(
        harness.post(&format!("{volume}/commit"), body).await.status,
        200
    );
    std::fs::remove_dir_all(harness.directory.path().join("data/objects/manifests")).unwrap();
    let redirect = harness.get(&format!("{volume}/download")).await;
    let answer = harness
        .http
        .get(redirect.header("location").unwrap())
        .send()
        .await
        .unwrap();
    let message = Answer::read(answer)
        .await
        .error(500, "internal_error", None);
    assert_eq!(
        message,
        "An internal error occurred. Please try again later."
    );
}
