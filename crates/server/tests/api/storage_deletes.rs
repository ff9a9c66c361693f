//! Volumes and artifacts are deleted, and runs go on (API 8.3, 4.7).

use serde_json::{Value, json};

use crate::harness::{Answer, Harness};
use crate::storages::{H, archive, hello, upload, volume};

#[tokio::test]
async fn a_deleted_volume_is_gone_with_its_versions_uploads_and_downloads() {
    let harness = Harness::start().await;
    let volume = volume(&harness, "data").await;
    let files = archive(&[("a.txt", b"hello\n")]);
    let session = upload(&harness, &volume, &hello(), files.clone()).await;
    let body = json!({ "upload_session_id": session });
    assert_eq!(
        harness.post(&format!("{volume}/commit"), body).await.status,
        200
    );
    let download = harness.get(&format!("{volume}/download")).await;
    let location = download.header("location").unwrap();
    let other = json!([{ "path": "b.txt", "size": 6, "hash": H }]);
    let open = upload(&harness, &volume, &other, files).await;
    let uploads = harness.directory.path().join("data/objects/uploads");
    let open_session = open.as_str().unwrap().rsplit(':').next().unwrap();
    let left = || std::fs::read_dir(uploads.join(open_session)).map_or(0, Iterator::count);
    assert_eq!(left(), 3);
    let artifacts = volume.replace("volumes", "artifacts");
    harness
        .delete(&artifacts)
        .await
        .error(404, "resource_not_found", None);
    let deleted = harness.delete(&volume).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(left(), 0, "what was put for it is removed");
    for path in [
        &volume,
        &format!("{volume}/versions"),
        &format!("{volume}/download"),
    ] {
        harness
            .get(path)
            .await
            .error(404, "resource_not_found", None);
    }
    let message = harness
        .delete(&volume)
        .await
        .error(404, "resource_not_found", None);
    let id = volume.rsplit('/').next().unwrap();
    assert_eq!(message, format!("No such volume: '{id}'"));
    let late = harness.http.get(location).send().await.unwrap();
    Answer::read(late)
        .await
        .error(404, "resource_not_found", None);
    let again = harness.post("/v1/volumes", json!({ "name": "data" })).await;
    assert_eq!((again.status, &again.json()["size"]), (201, &json!(0)));
}

#[tokio::test]
async fn a_run_completes_into_its_artifact_although_that_was_deleted() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let body = json!({ "prompt": "x", "agent": "demo", "artifact_name": "out" });
    let run = harness.post("/v1/runs", body).await.json();
    let run = run["id"].as_str().unwrap();
    harness.claim().await;
    let artifact = async || {
        let page = harness.get("/v1/artifacts?name=out").await.json();
        page["data"][0].clone()
    };
    let first = artifact().await;
    let path = format!("/v1/artifacts/{}", first["id"].as_str().unwrap());
    assert_eq!(harness.delete(&path).await.status, 204);
    let saved = harness.workspace(run, "target").await;
    harness.complete_with(run, Some(saved)).await;
    let done = harness.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(done["status"], "completed");
    let second = artifact().await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["current_version_id"], done["artifact_version"]);
}

#[tokio::test]
async fn an_exact_version_that_is_gone_at_the_start_fails_the_run() {
    let harness = Harness::start().await;
    harness.agent(json!({})).await;
    let with = async |version: Option<Value>| {
        let body = json!({
            "prompt": "x", "agent": "demo", "artifact_name": "out", "artifact_version": version,
        });
        harness.post("/v1/runs", body).await.json()["id"].clone()
    };
    let first = with(None).await;
    let first = first.as_str().unwrap();
    harness.claim().await;
    let saved = harness.workspace(first, "target").await;
    harness.complete_with(first, Some(saved)).await;
    let done = harness.get(&format!("/v1/runs/{first}")).await.json();
    let pinned = with(Some(done["artifact_version"].clone())).await;
    let page = harness.get("/v1/artifacts?name=out").await.json();
    let artifact = page["data"][0]["id"].as_str().unwrap();
    harness.delete(&format!("/v1/artifacts/{artifact}")).await;
    let latest = with(None).await;
    assert_eq!(harness.claim().await["spec"]["run_id"], latest);
    let run = harness
        .get(&format!("/v1/runs/{}", pinned.as_str().unwrap()))
        .await
        .json();
    assert_eq!(run["status"], "failed");
    assert_eq!(
        run["error"],
        "[prepare] the version of the artifact 'out' is gone"
    );
}
