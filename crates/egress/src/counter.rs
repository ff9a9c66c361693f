//! Bytes in and out, as the sandbox sees them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a sandbox received and sent through its gateway so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes the sandbox received.
    pub rx_bytes: u64,
    /// Bytes the sandbox sent.
    pub tx_bytes: u64,
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    rx: AtomicU64,
    tx: AtomicU64,
}

impl Meter {
    pub(crate) fn received(&self, bytes: usize) {
        self.rx.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.tx.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            rx_bytes: self.rx.load(Ordering::Relaxed),
            tx_bytes: self.tx.load(Ordering::Relaxed),
        }
    }
}
