//! Reading a spool.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::segment::{self, HEADER_BYTES, RECORD_HEADER_BYTES, SegmentError};
use super::{Released, Written};

/// The end of a spool from which records are taken.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    dir: PathBuf,
    place: Place,
    written: watch::Receiver<Written>,
    released: Option<watch::Sender<Released>>,
}

/// Where the next record begins.
#[derive(Debug)]
struct Place {
    segment: u32,
    file: File,
    at: u64,
    /// Records before it.
    offset: u64,
}

/// Records in order.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Records before them.
    pub(crate) offset: u64,
    /// Their payloads.
    pub(crate) payloads: Vec<Vec<u8>>,
    bytes: u64,
}

impl SpoolReader {
    pub(super) fn new(
        dir: &Path,
        written: watch::Receiver<Written>,
        released: Option<watch::Sender<Released>>,
    ) -> Result<Self, SegmentError> {
        Self::starting_at(dir, 0, written, released)
    }

    pub(super) fn starting_at(
        dir: &Path,
        segment: u32,
        written: watch::Receiver<Written>,
        released: Option<watch::Sender<Released>>,
    ) -> Result<Self, SegmentError> {
        let place = Place::start(dir, segment)?;
        Ok(Self {
            dir: dir.to_owned(),
            place,
            written,
            released,
        })
    }

    /// A view of how far this spool is written.
    pub(crate) fn records_written(&self) -> RecordsWritten {
        RecordsWritten(self.written.clone())
    }

    /// Waits until there are `records` to be read, or the spool is closed.
    pub(crate) async fn ready(&mut self, records: u64) {
        let enough = self.place.offset + records;
        // An error says that the writer is gone.
        let _ = self
            .written
            .wait_for(|written| written.records >= enough || written.closed)
            .await;
    }

    /// The next records, as soon as there is one: at most `max_records`, and not more than
    /// `max_bytes` unless the first is longer. `None` once the spool is closed and read.
    ///
    /// # Errors
    /// If the disk fails or a record is damaged.
    pub(crate) async fn next(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Option<Batch>, SegmentError> {
        loop {
            let written = *self.written.borrow_and_update();
            let batch = self.read_batch(&written, max_records, max_bytes as u64)?;
            if batch.is_some() {
                return Ok(batch);
            }
            if written.closed || self.written.changed().await.is_err() {
                let now = *self.written.borrow();
                if now.records == written.records {
                    return Ok(None);
                }
            }
        }
    }

    /// Lets `batch` go: its records are acknowledged.
    pub(crate) fn release(&mut self, batch: &Batch) {
        for number in (0..self.place.segment).rev() {
            if std::fs::remove_file(segment::path(&self.dir, number)).is_err() {
                break;
            }
        }
        if let Some(released) = &self.released {
            released.send_modify(|released| *released += batch.bytes);
        }
    }

    fn read_batch(
        &mut self,
        written: &Written,
        max_records: usize,
        max_bytes: u64,
    ) -> Result<Option<Batch>, SegmentError> {
        let mut batch = Batch {
            offset: self.place.offset,
            payloads: Vec::new(),
            bytes: 0,
        };
        while batch.payloads.len() < max_records {
            let Some((payload, len)) = self.peek(written)? else {
                if !self.next_segment(written)? {
                    break;
                }
                continue;
            };
            if !batch.payloads.is_empty() && batch.bytes + len > max_bytes {
                break;
            }
            self.place.at += len;
            self.place.offset += 1;
            batch.bytes += len;
            batch.payloads.push(payload);
        }
        Ok((!batch.payloads.is_empty()).then_some(batch))
    }

    /// The record at the present place, if it is written.
    fn peek(&self, written: &Written) -> Result<Option<(Vec<u8>, u64)>, SegmentError> {
        let Place {
            segment, file, at, ..
        } = &self.place;
        let end = match *segment < written.segment {
            true => file.metadata().map_err(SegmentError::Io)?.len(),
            false => written.bytes,
        };
        let mut header = [0; RECORD_HEADER_BYTES];
        if at + RECORD_HEADER_BYTES as u64 > end {
            return Ok(None);
        }
        file.read_exact_at(&mut header, *at)
            .map_err(SegmentError::Io)?;
        let damaged = || SegmentError::Damaged {
            path: segment::path(&self.dir, *segment),
        };
        let len = segment::payload_len(&header).ok_or_else(damaged)?;
        let payload_at = at + RECORD_HEADER_BYTES as u64;
        if payload_at + len as u64 > end {
            return Ok(None);
        }
        let mut payload = vec![0; len];
        file.read_exact_at(&mut payload, payload_at)
            .map_err(SegmentError::Io)?;
        if !segment::is_intact(&header, &payload) {
            return Err(damaged());
        }
        Ok(Some((payload, (RECORD_HEADER_BYTES + len) as u64)))
    }

    fn next_segment(&mut self, written: &Written) -> Result<bool, SegmentError> {
        if self.place.segment >= written.segment {
            return Ok(false);
        }
        self.place = Place::start(&self.dir, self.place.segment + 1)?;
        Ok(true)
    }
}

impl Place {
    fn start(dir: &Path, segment: u32) -> Result<Self, SegmentError> {
        let path = segment::path(dir, segment);
        let file = File::open(&path).map_err(SegmentError::Io)?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)
            .map_err(SegmentError::Io)?;
        let offset = segment::header_offset(&header).ok_or(SegmentError::Magic { path })?;
        Ok(Self {
            segment,
            file,
            at: HEADER_BYTES as u64,
            offset,
        })
    }
}

/// Tells how many records a spool holds or held.
#[derive(Debug, Clone)]
pub(crate) struct RecordsWritten(watch::Receiver<Written>);

impl RecordsWritten {
    /// Their number.
    pub(crate) fn count(&self) -> u64 {
        self.0.borrow().records
    }
}
