//! What a run emits, on the runner's disk until the server has acknowledged it.
//!
//! A spool is a directory of segment files. One task appends records to the last segment and waits
//! while too much is unacknowledged; another reads them in order, sends them, and removes segments
//! that the server has. Both sides survive the server's absence; a later process finds what an
//! earlier one left and sends it again.

mod reader;
mod segment;
mod writer;

use std::path::Path;

use tokio::sync::watch;
use vm0_model::limits;

#[cfg(test)]
use reader::Batch;
pub(crate) use reader::{RecordsWritten, SpoolReader};
pub(crate) use segment::SegmentError;
pub(crate) use writer::SpoolWriter;

/// A segment is not appended to beyond this.
const SEGMENT_BYTES: u64 = 8 << 20;

/// How far the writer is.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    segment: u32,
    /// Bytes of the present segment.
    bytes: u64,
    /// Records of all segments.
    records: u64,
    closed: bool,
}

/// Bytes of all records that the reader has let go.
type Released = u64;

/// A new, empty spool in `dir`, which is made.
///
/// # Errors
/// If the directory or its first segment cannot be made.
pub(crate) fn create(dir: &Path) -> Result<(SpoolWriter, SpoolReader), SegmentError> {
    create_bounded(dir, limits::SPOOL_MAX_BYTES)
}

fn create_bounded(dir: &Path, max_bytes: u64) -> Result<(SpoolWriter, SpoolReader), SegmentError> {
    std::fs::create_dir_all(dir).map_err(SegmentError::Io)?;
    let (written, written_view) = watch::channel(Written::default());
    let (released, released_view) = watch::channel(0);
    let writer = SpoolWriter::new(dir, max_bytes, written, released_view)?;
    let reader = SpoolReader::new(dir, written_view, Some(released))?;
    Ok((writer, reader))
}

/// What an earlier process left in `dir`; `None` if there is no spool.
///
/// # Errors
/// If a segment cannot be read or is not one.
pub(crate) fn reopen(dir: &Path) -> Result<Option<SpoolReader>, SegmentError> {
    let mut numbers = segment::numbers(dir)?;
    numbers.sort_unstable();
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return Ok(None);
    };
    let bytes = std::fs::metadata(segment::path(dir, last))
        .map_err(SegmentError::Io)?
        .len();
    let written = Written {
        segment: last,
        bytes,
        records: u64::MAX,
        closed: true,
    };
    SpoolReader::starting_at(dir, first, watch::channel(written).1, None).map(Some)
}

#[cfg(test)]
mod tests;
