//! Big files are stored by content: a small change of one costs little.
#![expect(
    clippy::unwrap_used,
    reason = "all functions here are the bodies of tests"
)]

mod support;

use std::fs;
use std::path::Path;

use support::*;
use tempfile::TempDir;
use vm0_blob::{Blobs, Manifest, ScanLimits, UploadObject, pack_changes, scan};

const SIZE: usize = 64 << 20;
const CHANGE: usize = 1 << 20;
/// What a change of 1 MiB may cost: the chunks that it touches are up to 4 MiB long.
const COST_MAX: u64 = 4 << 20;

/// Bytes that do not compress, the same for each seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len / 8).flatten().collect()
}

/// The same with other bytes, more than there were, in the middle.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let (before, after) = bytes.split_at(SIZE / 2);
    [before, &noise(7, CHANGE), &after[CHANGE / 2..]].concat()
}

fn pack_bytes(root: &Path) -> u64 {
    let packs = root.join("packs");
    let sizes = files_below(&packs)
        .into_iter()
        .map(|path| fs::metadata(packs.join(path)).unwrap().len());
    sizes.sum()
}

async fn upload(blobs: &Blobs, bytes: &[u8], base: Option<Manifest>) -> Manifest {
    let declared = [file("big", bytes)];
    let archive = Tar::default().file("big", bytes).gz();
    put(blobs, UploadObject::Archive, archive).await;
    put(blobs, UploadObject::Manifest, manifest_json(&declared)).await;
    let committed = commit_session(blobs, &declared, base).await.unwrap();
    blobs.manifest_get(committed.manifest_id).await.unwrap()
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_big_file_costs_about_its_size() {
    let (dir, blobs) = store();
    let first = noise(42, SIZE);
    let second = changed(&first);
    let base = upload(&blobs, &first, None).await;
    let before = pack_bytes(dir.path());
    assert!(before >= SIZE as u64, "noise does not compress: {before}");

    let upper = TempDir::new().unwrap();
    fs::write(upper.path().join("big"), &second).unwrap();
    let changes = scan(upper.path(), Some(&base), ScanLimits::default()).unwrap();
    let out = dir.path().join("run.pack");
    let packed = pack_changes(changes, Some(&base), &out).unwrap();
    let cost = packed.pack.unwrap().len;
    assert!((CHANGE as u64..COST_MAX).contains(&cost), "a run: {cost}");

    let manifest = upload(&blobs, &second, Some(base)).await;
    let cost = pack_bytes(dir.path()) - before;
    assert!(
        (CHANGE as u64..COST_MAX).contains(&cost),
        "a commit: {cost}"
    );
    assert_eq!(manifest, packed.manifest, "both find the same chunks");
    let archive = gunzip(&collect(blobs.archive(manifest)).await);
    assert!(archive[512..][..second.len()] == second);
}
