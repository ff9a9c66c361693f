//! Finished archives, kept for the next download (API 8.6).
//!
//! An archive is written to a file by one task, whoever asks for it and however often, and goes on
//! when they leave; downloads read the file while it grows. A finished file is made durable and
//! renamed to its place, so it is there in full or not at all. The same manifest gives the same
//! bytes, so losing a file costs time only: what cannot be kept is streamed as it is made.

mod cache;
mod collect;
mod disk;
mod growing;

pub use cache::{ArchiveBody, ArchiveCache, KeptArchive};
pub use collect::collect;
