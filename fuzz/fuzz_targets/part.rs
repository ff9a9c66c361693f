//! A part of an upload: the first byte is how many chunks it should hold, each of the length that
//! the next two bytes of its own say; every second one is verified later, with its file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use vm0_blob::fuzzing::{PartChunk, part};
use vm0_model::ContentHash;

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let count = usize::from(count % 8);
    let Some((lens, bytes)) = rest.split_at_checked(2 * count) else {
        return;
    };
    let wanted: Vec<PartChunk> = lens
        .chunks_exact(2)
        .enumerate()
        .map(|(place, len)| PartChunk {
            hash: ContentHash::from_digest([0; 32]),
            len: u32::from(u16::from_le_bytes([len[0], len[1]])),
            with_file: place % 2 == 0,
        })
        .collect();
    if let Some(ends) = part(bytes, &wanted) {
        assert_eq!(ends.len(), count);
        assert!(ends.is_sorted());
        assert_eq!(ends.last().map_or(16, |end| *end), bytes.len() as u64);
        assert!(count < 2, "nothing has the hash of the second");
    }
    // What a client sends is taken.
    let contents: Vec<&[u8]> = bytes.chunks(97).take(count).collect();
    let mut sent = vm0_blob::PartBuilder::new().expect("memory does not fail");
    for content in &contents {
        sent.push(content).expect("memory does not fail");
    }
    let wanted: Vec<PartChunk> = contents
        .iter()
        .map(|content| PartChunk {
            hash: ContentHash::from_digest(Sha256::digest(content).into()),
            len: u32::try_from(content.len()).expect("it is short"),
            with_file: false,
        })
        .collect();
    let read = part(&sent.finish(), &wanted);
    assert_eq!(read.expect("it was just made").len(), contents.len());
});
