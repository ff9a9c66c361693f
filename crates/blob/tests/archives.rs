//! Kept archives: made once, read in parts, bounded, and lost without harm.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::path::Path;

use support::*;
use tempfile::TempDir;
use vm0_blob::{ArchiveCache, Blobs, Content, Entry, Manifest};
use vm0_model::ManifestId;

const PLENTY: u64 = 1 << 30;

/// A stored version with `bytes` bytes that do not compress.
async fn version(blobs: &Blobs, seed: u64, bytes: usize) -> ManifestId {
    let mut state = seed + 1;
    let content: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let archive = Tar::default().file("data", &content).gz();
    let committed = commit(blobs, &[file("data", &content)], archive).await;
    committed.unwrap().manifest_id
}

async fn archive(blobs: &Blobs, id: ManifestId) -> Vec<u8> {
    collect(blobs.archive(blobs.manifest_get(id).await.unwrap())).await
}

async fn whole(cache: &ArchiveCache, blobs: &Blobs, id: ManifestId) -> Vec<u8> {
    collect(cache.whole(blobs, id).await.unwrap().bytes).await
}

fn kept(dir: &Path) -> Vec<String> {
    files_below(&dir.join("v1"))
}

#[tokio::test]
async fn an_archive_is_made_once_and_read_whole_and_in_parts() {
    let (objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    let cache = ArchiveCache::open(dir.path(), PLENTY).unwrap();
    let id = version(&blobs, 1, 1 << 20).await;
    let expected = archive(&blobs, id).await;
    assert!(cache.find(id).await.unwrap().is_none());
    let (first, second) = tokio::join!(whole(&cache, &blobs, id), whole(&cache, &blobs, id));
    assert!(first == expected && second == expected);
    cache.finished(&blobs, id).await.unwrap().unwrap();
    assert_eq!(kept(dir.path()), [id.to_string()]);
    // What is kept needs no pack any more, also in the next process.
    std::fs::remove_dir_all(objects.path().join("packs")).unwrap();
    drop(cache);
    let cache = ArchiveCache::open(dir.path(), PLENTY).unwrap();
    let body = cache.whole(&blobs, id).await.unwrap();
    assert_eq!(body.size, Some(expected.len() as u64));
    assert!(collect(body.bytes).await == expected);
    let finished = cache.finished(&blobs, id).await.unwrap().unwrap();
    assert_eq!(finished.size(), expected.len() as u64);
    let part = finished.range(1000..500_000).await.unwrap();
    assert!(collect(part).await == expected[1000..500_000]);
}

#[tokio::test]
async fn an_archive_is_finished_although_its_reader_left() {
    let (_objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    let cache = ArchiveCache::open(dir.path(), PLENTY).unwrap();
    let id = version(&blobs, 1, 2 << 20).await;
    drop(cache.whole(&blobs, id).await.unwrap());
    let finished = cache.finished(&blobs, id).await.unwrap().unwrap();
    assert_eq!(finished.size(), archive(&blobs, id).await.len() as u64);
}

#[tokio::test]
async fn the_archive_not_used_for_longest_makes_room() {
    let (_objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(version(&blobs, seed, 100_000).await);
    }
    // Room for two.
    let cache = ArchiveCache::open(dir.path(), 250_000).unwrap();
    for id in &ids[..2] {
        cache.finished(&blobs, *id).await.unwrap().unwrap();
    }
    let reading = cache.find(ids[1]).await.unwrap().unwrap();
    cache.find(ids[0]).await.unwrap().unwrap();
    cache.finished(&blobs, ids[2]).await.unwrap().unwrap();
    let mut expected = [ids[0].to_string(), ids[2].to_string()];
    expected.sort();
    assert_eq!(kept(dir.path()), expected);
    let size = reading.size();
    let rest = collect(reading.range(0..size).await.unwrap()).await;
    assert!(rest == archive(&blobs, ids[1]).await, "it was being read");
    drop(cache);
    ArchiveCache::open(dir.path(), 150_000).unwrap();
    assert_eq!(
        kept(dir.path()),
        [ids[2].to_string()],
        "also when it is opened"
    );
}

#[tokio::test]
async fn what_does_not_fit_is_answered_whole_all_the_same() {
    let (_objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    let cache = ArchiveCache::open(dir.path(), 700_000).unwrap();
    let id = version(&blobs, 1, 2 << 20).await;
    assert!(whole(&cache, &blobs, id).await == archive(&blobs, id).await);
    assert!(cache.finished(&blobs, id).await.unwrap().is_none());
    assert_eq!(files_below(dir.path()), [] as [String; 0]);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_removed_and_a_lost_file_is_made_again() {
    let (_objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    for stray in ["building/x", "v0/old"] {
        let path = dir.path().join(stray);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let cache = ArchiveCache::open(dir.path(), PLENTY).unwrap();
    assert_eq!(files_below(dir.path()), [] as [String; 0]);
    let id = version(&blobs, 1, 1000).await;
    cache.finished(&blobs, id).await.unwrap().unwrap();
    std::fs::remove_file(dir.path().join("v1").join(id.to_string())).unwrap();
    assert!(whole(&cache, &blobs, id).await == archive(&blobs, id).await);
    cache.finished(&blobs, id).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_archive_of_a_damaged_version_breaks_off_and_is_not_kept() {
    use futures::TryStreamExt;
    let (objects, blobs) = store();
    let dir = TempDir::new().unwrap();
    let cache = ArchiveCache::open(dir.path(), PLENTY).unwrap();
    let id = version(&blobs, 1, 1000).await;
    std::fs::remove_dir_all(objects.path().join("packs")).unwrap();
    let body = cache.whole(&blobs, id).await.unwrap();
    assert!(body.bytes.try_collect::<Vec<_>>().await.is_err());
    assert!(cache.finished(&blobs, id).await.unwrap().is_none());
    assert_eq!(files_below(dir.path()), [] as [String; 0]);
    let link = Entry {
        path: "l".to_owned(),
        content: Content::Symlink {
            target: "t".to_owned(),
        },
    };
    let absent = Manifest::new(vec![link]).unwrap().encode().unwrap().0;
    assert!(cache.whole(&blobs, absent).await.is_err());
}
