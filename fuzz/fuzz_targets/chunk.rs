//! The stored form of a chunk: the first four bytes are the length that a manifest gives it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use vm0_model::ContentHash;

fuzz_target!(|data: &[u8]| {
    let Some((len, frame)) = data.split_first_chunk::<4>() else {
        return;
    };
    let (len, hash) = (u32::from_le_bytes(*len), ContentHash::from_digest([0; 32]));
    if let Some(read) = vm0_blob::fuzzing::chunk(len, hash, frame) {
        assert!(read.is_err(), "nothing has this hash");
    }
    let hash = ContentHash::from_digest(Sha256::digest(frame).into());
    let stored = zstd::bulk::compress(frame, 1).expect("memory does not fail");
    let len = u32::try_from(frame.len()).expect("inputs are short");
    if let Some(read) = vm0_blob::fuzzing::chunk(len, hash, &stored) {
        assert_eq!(read.expect("it was just stored"), frame);
    }
});
