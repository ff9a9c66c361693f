//! Bytes that may be a manifest: as they are, and as the body of one whose checksum is right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use vm0_blob::Manifest;

fuzz_target!(|data: &[u8]| {
    let _any = Manifest::decode(data);
    if let Ok(manifest) = Manifest::decode(&around(data)) {
        let (_, bytes) = manifest.encode().expect("it is small");
        assert_eq!(
            Manifest::decode(&bytes).expect("it was just encoded"),
            manifest
        );
    }
});

fn around(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"vm0mnfst\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(body));
    bytes.extend_from_slice(&zstd::bulk::compress(body, 1).expect("memory does not fail"));
    bytes
}
