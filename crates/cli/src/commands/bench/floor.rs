//! Floors: what this machine's disk does at best.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 4096;

/// Appends of one block a second, each followed by `fdatasync`.
pub(super) fn syncs_per_second(dir: &Path, span: Duration) -> io::Result<f64> {
    let mut file = File::create(dir.join("floor"))?;
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < span {
        file.write_all(&[1; BLOCK_BYTES])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
