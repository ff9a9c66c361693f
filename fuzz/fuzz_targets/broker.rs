//! What the broker of secrets reads: heads of requests and frames of WebSockets from a sandbox,
//! bodies of answers in any pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vm0_egress::fuzzing;

fuzz_target!(|data: &[u8]| {
    let (cuts, body) = data.split_at(data.len().min(8));
    fuzzing::masking(cuts, body);
    fuzzing::frames(data);
    if let Ok(text) = std::str::from_utf8(data) {
        fuzzing::request(text);
    }
});
