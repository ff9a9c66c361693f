//! The stored forms: version 1 stays readable, and no bytes make a decoder panic.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use support::*;
use vm0_blob::{Blobs, Manifest, ManifestError};
use vm0_model::{ManifestId, PackId};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

async fn golden_version(blobs: &Blobs) -> ManifestId {
    let declared = [
        file("a.txt", b"hello\n"),
        file("run.sh", b"#!/bin/sh\necho hi\n"),
        link("latest.txt", "a.txt"),
    ];
    let archive = Tar::default()
        .file("a.txt", b"hello\n")
        .executable("run.sh", b"#!/bin/sh\necho hi\n")
        .symlink("latest.txt", "a.txt")
        .gz();
    commit(blobs, &declared, archive).await.unwrap().manifest_id
}

/// Writes the golden files of the present version, once.
#[tokio::test]
#[ignore = "run by hand when the format gets a new version"]
async fn write_golden_files() {
    let (_dir, blobs) = store();
    let id = golden_version(&blobs).await;
    let manifest = blobs.manifest_get(id).await.unwrap();
    let pack = *manifest.packs().first().unwrap();
    let bytes = collect(blobs.manifest_get_encoded(id).await.unwrap()).await;
    fs::write(golden("v1.manifest"), bytes).unwrap();
    fs::write(
        golden("v1.pack"),
        collect(blobs.pack_get(pack, None).await.unwrap()).await,
    )
    .unwrap();
}

#[tokio::test]
async fn version_1_is_read_for_ever() {
    let (_dir, blobs) = store();
    let pack = fs::read(golden("v1.pack")).unwrap();
    let id = PackId::from_digest(Sha256::digest(&pack).into());
    blobs.pack_put(once(pack), id, u64::MAX).await.unwrap();
    let manifest = Manifest::decode(&fs::read(golden("v1.manifest")).unwrap()).unwrap();
    assert_eq!(
        manifest.version_id(storage()).to_string(),
        "c46431c669e130df2562fb255bc0ecf82a38e78b9183f3a9f434510ec37cd159"
    );
    let archive = gunzip(&collect(blobs.archive(manifest)).await);
    let text = String::from_utf8_lossy(&archive);
    assert!(text.contains("hello\n") && text.contains("#!/bin/sh\necho hi\n"));
}

#[test]
fn changed_bytes_are_found_out() {
    let bytes = fs::read(golden("v1.manifest")).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x40;
        // Some bits of a compressed frame do not matter; what is decoded is checked as a whole.
        if let Ok(manifest) = Manifest::decode(&changed) {
            assert_eq!(manifest, Manifest::decode(&bytes).unwrap(), "byte {index}");
        }
        assert!(Manifest::decode(&bytes[..index]).is_err(), "cut at {index}");
    }
}

#[test]
fn a_later_version_is_refused_by_name() {
    let mut bytes = fs::read(golden("v1.manifest")).unwrap();
    bytes[8] = 2;
    assert!(matches!(
        Manifest::decode(&bytes),
        Err(ManifestError::Version { version: 2 })
    ));
}

/// A manifest with a valid header and checksum around any body.
fn wrap(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"vm0mnfst\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(body));
    bytes.extend_from_slice(&zstd::bulk::compress(body, 1).unwrap());
    bytes
}

#[test]
fn a_body_larger_than_it_says_is_refused() {
    let mut bytes = wrap(&vec![0; 50 << 20]);
    bytes[16..24].copy_from_slice(&10u64.to_le_bytes());
    assert!(matches!(
        Manifest::decode(&bytes),
        Err(ManifestError::Checksum)
    ));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        body in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..200),
    ) {
        if let Ok(manifest) = Manifest::decode(&wrap(&body)) {
            let (_, bytes) = manifest.encode().unwrap();
            prop_assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        }
    }
}
