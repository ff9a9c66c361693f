//! What a sandbox may send: frames, stream headers and file records.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vm0_guest::files::{Bounds, is_normal_path, read_all};
use vm0_guest::frame::{self, MAX_GUEST_FRAME, MAX_HOST_FRAME};
use vm0_guest::{GuestHeader, Hello, HostHeader, Notice, Request};

const BOUNDS: Bounds = Bounds {
    files: 8,
    bytes: 1 << 16,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(records) = read_all(&mut &data[..], BOUNDS) {
        assert!(records.len() <= BOUNDS.files);
        assert!(records.iter().all(|record| is_normal_path(&record.path)));
        let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        assert!(bytes as u64 <= BOUNDS.bytes);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers");
    runtime.block_on(async {
        let _any = frame::read::<Hello, _>(&mut &data[..], MAX_GUEST_FRAME).await;
        let _any = frame::read::<Notice, _>(&mut &data[..], MAX_GUEST_FRAME).await;
        let _any = frame::read::<GuestHeader, _>(&mut &data[..], MAX_GUEST_FRAME).await;
        let _any = frame::read::<Request, _>(&mut &data[..], MAX_GUEST_FRAME).await;
        let _any = frame::read::<HostHeader, _>(&mut &data[..], MAX_HOST_FRAME).await;
    });
});
