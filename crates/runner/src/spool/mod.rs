//! What a run emits, on the runner's disk until the server has acknowledged it.
//!
//! A spool is a directory of segment files. One task appends records to the last segment and waits
//! while too much is unacknowledged; another reads them in order, sends them, and removes segments
//! that the server has. Both sides survive the server's absence; a later process finds what an
//! earlier one left and sends it again.

mod directory;
mod reader;
mod segment;
mod writer;

#[cfg(test)]
use directory::create_bounded;
use directory::{Released, SEGMENT_BYTES, Written};
pub(crate) use directory::{create, reopen};
#[cfg(test)]
use reader::Batch;
pub(crate) use reader::{RecordsWritten, SpoolReader};
pub(crate) use segment::SegmentError;
pub(crate) use writer::SpoolWriter;

#[cfg(test)]
mod tests;
