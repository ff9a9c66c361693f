//! What a run changed: the upper directory of its workspace overlay against the version below.
//!
//! The directory was written by a hostile sandbox. Nothing in it is opened through a path that the
//! sandbox could bend: every directory is opened below the root without following links, every
//! file without blocking, and checked to be what it was listed as after it is open.

mod beneath;
mod marks;
mod merge;
mod walk;

pub(crate) use beneath::Beneath;
pub(crate) use marks::file_marks;
pub(crate) use merge::{Change, ChangedContent};
pub use merge::{Changes, scan};
pub use walk::{LeftOut, ScanError, ScanLimits, ScanWarning};
pub(crate) use walk::{Warnings, left_out};
