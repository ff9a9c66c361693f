//! What a sandbox may say to the gateway: the first bytes of a tunnel, a SOCKS request, the
//! destination and path of an HTTP request; and the answer of a model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vm0_egress::fuzzing;

fuzz_target!(|data: &[u8]| {
    fuzzing::opening(data);
    fuzzing::socks(data);
    fuzzing::usage(data);
    if let Ok(text) = std::str::from_utf8(data) {
        fuzzing::named(text);
    }
});
