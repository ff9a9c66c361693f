//! A spool as a directory: made, or found again.

use std::path::Path;

use tokio::sync::watch;
use vm0_model::limits;

use super::reader::SpoolReader;
use super::segment::{self, SegmentError};
use super::writer::SpoolWriter;

/// A segment is not appended to beyond this.
pub(super) const SEGMENT_BYTES: u64 = 8 << 20;

/// How far the writer is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) segment: u32,
    /// Bytes of the present segment.
    pub(super) bytes: u64,
    /// Records of all segments.
    pub(super) records: u64,
    pub(super) closed: bool,
}

/// Bytes of all records that the reader has let go.
pub(super) type Released = u64;

/// A new, empty spool in `dir`, which is made.
///
/// # Errors
/// If the directory or its first segment cannot be made.
pub(crate) fn create(dir: &Path) -> Result<(SpoolWriter, SpoolReader), SegmentError> {
    create_bounded(dir, limits::SPOOL_MAX_BYTES)
}

pub(super) fn create_bounded(
    dir: &Path,
    max_bytes: u64,
) -> Result<(SpoolWriter, SpoolReader), SegmentError> {
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
