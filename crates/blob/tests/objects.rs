//! Objects are there in full or not at all.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream;
use sha2::{Digest, Sha256};
use support::*;
use vm0_blob::{BlobError, Blobs, Manifest, PackSource, UploadObject};
use vm0_model::{HistoryId, ManifestId, PackId};

fn pack_id(bytes: &[u8]) -> PackId {
    PackId::from_digest(Sha256::digest(bytes).into())
}

#[tokio::test]
async fn a_pack_is_read_back_whole_and_in_ranges() {
    let (_dir, blobs) = store();
    let bytes: Vec<u8> = (0..700_000u32).map(|n| n as u8).collect();
    let id = pack_id(&bytes);
    assert_eq!(
        blobs
            .pack_put(once(bytes.clone()), id, 1 << 20)
            .await
            .unwrap(),
        700_000
    );
    assert_eq!(
        collect(blobs.pack_get(id, None).await.unwrap()).await,
        bytes
    );
    let part = collect(blobs.pack_get(id, Some(10..20)).await.unwrap()).await;
    assert_eq!(part, bytes[10..20]);
    assert_eq!(
        blobs.pack_range(id, 699_990..700_000).await.unwrap(),
        bytes[699_990..]
    );
    assert_eq!(blobs.pack_len(id).await.unwrap(), 700_000);
    blobs.pack_put(once(bytes), id, 1 << 20).await.unwrap();
}

#[tokio::test]
async fn a_refused_object_leaves_nothing() {
    let (dir, blobs) = store();
    let id = pack_id(b"right");
    let error = blobs.pack_put(once("wrong"), id, 100).await.unwrap_err();
    assert!(matches!(error, BlobError::Mismatch { .. }), "{error:?}");
    let error = blobs.pack_put(once("right"), id, 4).await.unwrap_err();
    assert!(
        matches!(error, BlobError::TooLarge { limit: 4, .. }),
        "{error:?}"
    );
    let broken = stream::iter([
        Ok(Bytes::from_static(b"right")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]);
    let error = blobs.pack_put(broken, id, 100).await.unwrap_err();
    assert!(matches!(error, BlobError::Receive(_)), "{error:?}");
    let error = blobs.manifest_put_encoded(
        once("no manifest"),
        ManifestId::from_digest(Sha256::digest("no manifest").into()),
    );
    assert!(matches!(error.await.unwrap_err(), BlobError::Manifest(_)));
    assert!(matches!(
        blobs.pack_get(id, None).await,
        Err(BlobError::NotFound { .. })
    ));
    assert_eq!(files_below(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn an_abandoned_put_leaves_nothing() {
    let (dir, blobs) = store();
    let endless = stream::pending::<io::Result<Bytes>>();
    let put = blobs.pack_put(endless, pack_id(b""), 100);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), put)
            .await
            .is_err()
    );
    assert_eq!(files_below(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_killed_process_left_is_not_seen_and_is_removed() {
    let (dir, blobs) = store();
    let leftover = dir.path().join("staging/leftover");
    std::fs::write(&leftover, "half").unwrap();
    drop(blobs);
    drop(Blobs::local(dir.path()).unwrap());
    assert!(leftover.exists(), "another process may be writing it");
    let file = std::fs::File::options()
        .write(true)
        .open(&leftover)
        .unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200))
        .unwrap();
    drop(Blobs::local(dir.path()).unwrap());
    assert!(!leftover.exists());
}

#[tokio::test]
async fn manifests_and_histories_are_stored_under_their_digests() {
    let (_dir, blobs) = store();
    let id = blobs.manifest_put(&Manifest::default()).await.unwrap();
    let encoded = collect(blobs.manifest_get_encoded(id).await.unwrap()).await;
    assert_eq!(ManifestId::from_digest(Sha256::digest(&encoded).into()), id);
    assert_eq!(
        blobs.manifest_put_encoded(once(encoded), id).await.unwrap(),
        Manifest::default()
    );
    let history = HistoryId::from_digest(Sha256::digest("talk").into());
    assert_eq!(blobs.history_put(once("talk"), history).await.unwrap(), 4);
    assert_eq!(
        collect(blobs.history_get(history).await.unwrap()).await,
        b"talk"
    );
}

#[tokio::test]
async fn a_manifest_that_names_a_missing_pack_is_found_out() {
    let (dir, blobs) = store();
    let archive = Tar::default().file("a", b"hello").gz();
    let committed = commit(&blobs, &[file("a", b"hello")], archive)
        .await
        .unwrap();
    let manifest = blobs.manifest_get(committed.manifest_id).await.unwrap();
    check(&blobs, &manifest).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("packs")).unwrap();
    let error = check(&blobs, &manifest).await.unwrap_err();
    assert!(matches!(error, BlobError::Dangling { .. }), "{error:?}");
}

#[tokio::test]
async fn an_upload_is_replaced_and_deleted_with_its_session() {
    let (dir, blobs) = store();
    put(&blobs, UploadObject::Manifest, b"one".to_vec()).await;
    put(&blobs, UploadObject::Manifest, b"two".to_vec()).await;
    let stream = blobs
        .upload_read(SESSION, UploadObject::Manifest)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(collect(stream).await, b"two");
    assert!(
        blobs
            .upload_read(SESSION, UploadObject::Archive)
            .await
            .unwrap()
            .is_none()
    );
    blobs.upload_delete(SESSION).await.unwrap();
    blobs.upload_delete(SESSION).await.unwrap();
    assert!(!dir.path().join("uploads").join(SESSION).exists());
    let outside = blobs
        .upload_put("../x", UploadObject::Archive, once(""), 1)
        .await;
    assert!(matches!(outside, Err(BlobError::Session { .. })));
}
