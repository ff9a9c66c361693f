//! Garbage collection beside commits, runs and deletions, and the check of all bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vm0_blob::{Manifest, ScanLimits, pack_changes, scan};
use vm0_model::{StorageId, Timestamp, VersionId};
use vm0_server::{FindingState, FsckReport, GcOptions, fsck, gc};
use vm0_store::{GarbageStore, SqliteStore};

use crate::harness::{Answer, Harness};

type Files = BTreeMap<String, Vec<u8>>;
/// Paths and SHA-256 of their contents.
type Hashes = BTreeMap<String, String>;

/// A version that the server has acknowledged.
struct Recorded {
    storage: String,
    version: String,
    hashes: Hashes,
}

/// Bytes that no other call gives.
fn fresh(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        bytes.extend(uuid::Uuid::new_v4().as_bytes());
    }
    bytes
}

fn archive(files: &Files) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn hashes(files: &Files) -> Hashes {
    let hash =
        |(path, content): (&String, &Vec<u8>)| (path.clone(), hex::encode(Sha256::digest(content)));
    files.iter().map(hash).collect()
}

fn unpack(bytes: &[u8]) -> Files {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (path, content)
    });
    entries.collect()
}

async fn create(harness: &Harness, kind: &str, name: &str) -> String {
    let answer = harness
        .post(&format!("/v1/{kind}"), json!({ "name": name }))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    format!("/v1/{kind}/{}", answer.json()["id"].as_str().unwrap())
}

/// Uploads and commits files; the version.
async fn commit(harness: &Harness, storage: &str, files: &Files) -> String {
    let declared: Vec<Value> = files
        .iter()
        .map(|(path, content)| {
            let hash = hex::encode(Sha256::digest(content));
            json!({ "path": path, "size": content.len(), "hash": hash })
        })
        .collect();
    let declared = json!({ "files": declared });
    let session = harness
        .post(&format!("{storage}/upload"), declared.clone())
        .await
        .json();
    for (place, body) in [archive(files), declared.to_string().into_bytes()]
        .into_iter()
        .enumerate()
    {
        let url = session["files"][place]["upload_url"].as_str().unwrap();
        let put = harness.http.put(url).body(body).send().await.unwrap();
        assert_eq!(put.status(), 200);
    }
    let body = json!({ "upload_session_id": session["upload_session_id"] });
    let answer = harness.post(&format!("{storage}/commit"), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn download(harness: &Harness, storage: &str, version: &str) -> Files {
    let path = format!("{storage}/download?version_id={version}");
    let redirect = harness.get(&path).await;
    assert_eq!(redirect.status, 302, "{redirect:?}");
    let url = redirect.header("location").unwrap();
    let answer = harness.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    unpack(&answer.bytes().await.unwrap())
}

async fn manifest(harness: &Harness, id: &str) -> Manifest {
    let url = format!("{}/api/runner/v1/manifests/{id}", harness.server.url());
    let get = harness.http.get(url).bearer_auth(&harness.runner_token);
    let answer = get.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    Manifest::decode(&answer.bytes().await.unwrap()).unwrap()
}

/// What a runner does for a run on the artifact `work`: it adds a file, stores the workspace, and
/// reports. The version, if the server took it.
async fn run(harness: &Harness, number: usize, completed: bool) -> Option<Recorded> {
    let body = json!({ "agent": "demo", "prompt": "true", "artifact_name": "work" });
    assert_eq!(harness.post("/v1/runs", body).await.status, 202);
    let spec = harness.claim().await["spec"].clone();
    let id = spec["run_id"].as_str().unwrap();
    let base = match spec["artifact"]["version"]["manifest_id"].as_str() {
        Some(base) => Some(manifest(harness, base).await),
        None => None,
    };
    let directory = tempfile::tempdir().unwrap();
    let (upper, out) = (
        directory.path().join("upper"),
        directory.path().join("pack"),
    );
    std::fs::create_dir(&upper).unwrap();
    std::fs::write(upper.join(number.to_string()), fresh(3_000)).unwrap();
    let changes = scan(&upper, base.as_ref(), ScanLimits::default()).unwrap();
    let packed = pack_changes(changes, base.as_ref(), &out).unwrap();
    let pack = packed.pack.unwrap().id;
    let put = format!("/runs/{id}/packs/{pack}?epoch=1");
    let stored = harness.runner_put(&put, std::fs::read(&out).unwrap());
    assert_eq!(stored.await.status, 204);
    let (manifest_id, encoded) = packed.manifest.encode().unwrap();
    let put = format!("/runs/{id}/manifests/{manifest_id}?epoch=1");
    assert_eq!(harness.runner_put(&put, encoded).await.status, 204);
    let artifact = Some(json!({ "manifest_id": manifest_id }));
    let answer = finish(harness, id, completed, artifact, None).await;
    if answer.status != 200 {
        // Without a grace period what was just stored may be gone already. That is said, and
        // nothing is recorded.
        assert!(matches!(answer.status, 400 | 404), "{answer:?}");
        assert_eq!(finish(harness, id, false, None, None).await.status, 200);
        return None;
    }
    let storage = spec["artifact"]["storage_id"].as_str().unwrap();
    let version = packed.manifest.version_id(storage.parse().unwrap());
    let entries = packed.manifest.entries().iter();
    Some(Recorded {
        storage: format!("/v1/artifacts/{storage}"),
        version: version.to_string(),
        hashes: entries
            .map(|entry| (entry.path.clone(), entry.hash().to_string()))
            .collect(),
    })
}

async fn finish(
    harness: &Harness,
    run: &str,
    completed: bool,
    artifact: Option<Value>,
    history: Option<&str>,
) -> Answer {
    let conversation = json!({
        "framework": "shell", "agent_session_id": "s", "history": history,
        "working_dir": "/home/user/workspace", "token_total": null,
    });
    let body = json!({
        "epoch": 1, "status": if completed { "completed" } else { "failed" }, "exit_code": 0,
        "error": (!completed).then_some("it broke"), "output": null, "usage": null,
        "artifact": artifact, "conversation": completed.then_some(conversation),
    });
    harness.runner(&format!("/runs/{run}/finish"), body).await
}

async fn commits(harness: &Harness, name: &str, rounds: usize) -> Vec<Recorded> {
    let storage = create(harness, "volumes", name).await;
    let mut files = Files::from([("kept".to_owned(), fresh(10_000))]);
    let mut recorded = Vec::new();
    for round in 0..rounds {
        files.insert((round % 3).to_string(), fresh(2_000));
        recorded.push(Recorded {
            storage: storage.clone(),
            version: commit(harness, &storage, &files).await,
            hashes: hashes(&files),
        });
    }
    recorded
}

/// Makes volumes whose versions are committed, downloaded and deleted with them.
async fn short_lives(harness: &Harness, rounds: usize) {
    let mut files = Files::from([("kept".to_owned(), fresh(10_000))]);
    for round in 0..rounds {
        let storage = create(harness, "volumes", &format!("short-{round}")).await;
        files.insert((round % 3).to_string(), fresh(2_000));
        let version = commit(harness, &storage, &files).await;
        assert_eq!(download(harness, &storage, &version).await, files);
        assert_eq!(harness.delete(&storage).await.status, 204);
    }
}

async fn runs(harness: &Harness, rounds: usize) -> Vec<Recorded> {
    let mut recorded = Vec::new();
    for round in 0..rounds {
        let completed = round % 2 == 0;
        let version = run(harness, round, completed).await;
        recorded.extend(version.filter(|_| completed));
    }
    recorded
}

/// Deletes every salvaged version.
async fn delete_salvaged(store: &SqliteStore) -> usize {
    let end = Timestamp::from_millis(i64::from(u32::MAX) * 1_000);
    let mut deleted = 0;
    for version in store.salvaged_list(end).await.unwrap() {
        let (storage, id): (StorageId, VersionId) = (version.storage_id, version.id);
        deleted += usize::from(store.salvaged_remove(storage, id, end).await.unwrap());
    }
    deleted
}

fn data_dir(harness: &Harness) -> PathBuf {
    harness.directory.path().join("data")
}

const NO_GRACE: GcOptions = GcOptions {
    dry_run: false,
    older_than_days: None,
    grace: Duration::ZERO,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_runs_deletions_and_collections_at_once_lose_no_version() {
    let harness = Harness::start_with(|config| {
        config.gc_interval = Duration::from_millis(3);
        config.gc_grace = Duration::ZERO;
    })
    .await;
    harness.agent(json!({})).await;
    let data_dir = data_dir(&harness);
    let store = SqliteStore::open(&data_dir.join("vm0.db")).await.unwrap();
    let collect = async {
        loop {
            gc(&data_dir, NO_GRACE).await.unwrap();
        }
    };
    let delete = async {
        loop {
            delete_salvaged(&store).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let work = async {
        tokio::join!(
            commits(&harness, "a", 30),
            commits(&harness, "b", 30),
            runs(&harness, 40),
            short_lives(&harness, 30)
        )
    };
    let (a, b, runs, ()) = tokio::select! {
        recorded = work => recorded,
        () = collect => unreachable!("it has no end"),
        () = delete => unreachable!("it has no end"),
    };
    for Recorded {
        storage,
        version,
        hashes: expected,
    } in a.iter().chain(&b).chain(&runs)
    {
        let files = download(&harness, storage, version).await;
        assert_eq!(&hashes(&files), expected, "{storage} {version}");
    }
    delete_salvaged(&store).await;
    for _ in 0..2 {
        gc(&data_dir, NO_GRACE).await.unwrap();
    }
    let report = fsck(&data_dir).await.unwrap();
    assert!(report.ok && report.items.is_empty(), "{report:?}");
}

#[tokio::test]
async fn what_is_deleted_is_removed_by_the_second_collection_after_the_grace_period() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let data_dir = data_dir(&harness);
    let store = SqliteStore::open(&data_dir.join("vm0.db")).await.unwrap();
    let kept = run(&harness, 0, true).await.unwrap();
    run(&harness, 1, false).await.unwrap();
    assert_eq!(delete_salvaged(&store).await, 1);
    let young = gc(&data_dir, GcOptions::default()).await.unwrap();
    assert_eq!((young.items.len(), young.waiting), (0, 2));
    let dry = GcOptions {
        dry_run: true,
        ..NO_GRACE
    };
    let shown = gc(&data_dir, dry).await.unwrap();
    let done = gc(&data_dir, NO_GRACE).await.unwrap();
    assert_eq!((&shown.items, shown.bytes), (&done.items, done.bytes));
    let kinds: Vec<_> = done
        .items
        .iter()
        .map(|item| (item.kind, item.count))
        .collect();
    assert_eq!(kinds, [("manifest", 1), ("pack", 1)]);
    assert!(done.bytes > 3_000, "{done:?}");
    let files = download(&harness, &kept.storage, &kept.version).await;
    assert_eq!(hashes(&files), kept.hashes);
}

#[tokio::test]
async fn what_a_running_run_may_have_mounted_stays() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let data_dir = data_dir(&harness);
    let store = SqliteStore::open(&data_dir.join("vm0.db")).await.unwrap();
    run(&harness, 0, false).await.unwrap();
    let running = harness.run().await;
    harness.claim().await;
    delete_salvaged(&store).await;
    for _ in 0..3 {
        let report = gc(&data_dir, NO_GRACE).await.unwrap();
        assert_eq!((report.items.len(), report.waiting), (0, 2), "{report:?}");
    }
    assert_eq!(harness.complete(&running).await.status, 200);
    let report = gc(&data_dir, NO_GRACE).await.unwrap();
    assert_eq!(report.items.len(), 2, "{report:?}");
}

#[tokio::test]
async fn an_unreadable_manifest_stops_the_collection_before_anything_is_removed() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let data_dir = data_dir(&harness);
    let store = SqliteStore::open(&data_dir.join("vm0.db")).await.unwrap();
    commits(&harness, "a", 1).await;
    let manifest = objects(&data_dir, "manifests").pop().unwrap();
    run(&harness, 0, false).await.unwrap();
    delete_salvaged(&store).await;
    flip(&manifest, 100);
    for _ in 0..2 {
        let error = gc(&data_dir, NO_GRACE).await.unwrap_err().to_string();
        let id = manifest.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(id), "{error}");
    }
    assert_eq!(objects(&data_dir, "packs").len(), 2);
}

/// The files of a kind of objects.
fn objects(data_dir: &Path, kind: &str) -> Vec<PathBuf> {
    let shards = std::fs::read_dir(data_dir.join("objects").join(kind)).unwrap();
    let files = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

fn flip(path: &Path, place: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn faults(report: &FsckReport) -> Vec<(FindingState, &'static str, String)> {
    let faults = report.items.iter().filter(|item| item.state.is_fault());
    let faults: Vec<_> = faults
        .map(|item| (item.state, item.kind, item.id.clone()))
        .collect();
    assert_eq!(report.ok, faults.is_empty());
    faults
}

#[tokio::test]
async fn the_check_names_exactly_the_object_that_was_changed_or_removed() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let data_dir = data_dir(&harness);
    let storage = create(&harness, "volumes", "data").await;
    let files = Files::from([
        ("small".to_owned(), fresh(5_000)),
        ("big".to_owned(), fresh(5 << 20)),
    ]);
    commit(&harness, &storage, &files).await;
    let id = harness.run().await;
    harness.claim().await;
    let history = hex::encode(Sha256::digest("a conversation"));
    let put = format!("/runs/{id}/histories/{history}?epoch=1");
    let stored = harness.runner_put(&put, b"a conversation".to_vec());
    assert_eq!(stored.await.status, 204);
    let done = finish(&harness, &id, true, None, Some(&history)).await;
    assert_eq!(done.status, 200, "{done:?}");
    let sound = fsck(&data_dir).await.unwrap();
    assert_eq!((faults(&sound), sound.checked), (vec![], 3));
    for (directory, kind) in [
        ("manifests", "manifest"),
        ("packs", "pack"),
        ("histories", "history"),
    ] {
        let [path] = objects(&data_dir, directory).try_into().unwrap();
        let path: PathBuf = path;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let len = std::fs::metadata(&path).unwrap().len() as usize;
        for place in [0, len / 2, len - 1] {
            flip(&path, place);
            let found = fsck(&data_dir).await.unwrap();
            let expected = (FindingState::Corrupt, kind, name.clone());
            assert_eq!(faults(&found), [expected], "{kind}, byte {place}");
            flip(&path, place);
        }
        let aside = data_dir.join("aside");
        std::fs::rename(&path, &aside).unwrap();
        let found = fsck(&data_dir).await.unwrap();
        assert_eq!(faults(&found), [(FindingState::Missing, kind, name)]);
        std::fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(faults(&fsck(&data_dir).await.unwrap()), []);
}

#[tokio::test]
async fn a_run_whose_history_is_not_stored_does_not_complete() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let id = harness.run().await;
    harness.claim().await;
    let history = "0".repeat(64);
    finish(&harness, &id, true, None, Some(&history))
        .await
        .error(404, "resource_not_found", Some("body"));
    let view = harness.get(&format!("/v1/runs/{id}")).await.json();
    assert_eq!(view["status"], "running");
}
