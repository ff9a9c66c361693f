//! Appending to a spool.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::sync::watch;

use super::segment::{self, SegmentError};
use super::{Released, SEGMENT_BYTES, Written};

/// The end of a spool to which records are appended. Dropping it closes the spool.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    dir: PathBuf,
    file: File,
    max_bytes: u64,
    /// Bytes of all records.
    total: u64,
    written: watch::Sender<Written>,
    released: watch::Receiver<Released>,
}

impl SpoolWriter {
    pub(super) fn new(
        dir: &Path,
        max_bytes: u64,
        written: watch::Sender<Written>,
        released: watch::Receiver<Released>,
    ) -> Result<Self, SegmentError> {
        let file = start_segment(dir, 0, 0)?;
        written.send_modify(|written| written.bytes = segment::HEADER_BYTES as u64);
        Ok(Self {
            dir: dir.to_owned(),
            file,
            max_bytes,
            total: 0,
            written,
            released,
        })
    }

    /// Appends `item` as JSON.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(crate) async fn append_json(&mut self, item: &impl Serialize) -> Result<(), SegmentError> {
        let payload = serde_json::to_vec(item).map_err(SegmentError::Json)?;
        self.append(&payload).await
    }

    /// Appends a record, as soon as enough of the earlier ones is acknowledged. Once nobody reads
    /// any more, records are thrown away.
    ///
    /// Cancel safe: a record is appended whole or not at all.
    ///
    /// # Errors
    /// If the record is too long or the disk fails.
    pub(crate) async fn append(&mut self, payload: &[u8]) -> Result<(), SegmentError> {
        let record = segment::record(payload)?;
        let len = record.len() as u64;
        let (total, max) = (self.total, self.max_bytes);
        let room = |released: &u64| total == *released || total - released + len <= max;
        if self.released.wait_for(room).await.is_err() {
            return Ok(());
        }
        let mut written = *self.written.borrow();
        if written.bytes >= SEGMENT_BYTES.min(self.max_bytes) {
            written.segment += 1;
            self.file = start_segment(&self.dir, written.segment, written.records)?;
            written.bytes = segment::HEADER_BYTES as u64;
        }
        // A write to the page cache takes microseconds; a hop to another thread takes longer.
        self.file.write_all(&record).map_err(SegmentError::Io)?;
        self.total += len;
        written.bytes += len;
        written.records += 1;
        self.written.send_replace(written);
        Ok(())
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.written.send_modify(|written| written.closed = true);
    }
}

fn start_segment(dir: &Path, number: u32, offset: u64) -> Result<File, SegmentError> {
    let path = segment::path(dir, number);
    let mut file = File::create_new(path).map_err(SegmentError::Io)?;
    file.write_all(&segment::header(offset))
        .map_err(SegmentError::Io)?;
    Ok(file)
}
