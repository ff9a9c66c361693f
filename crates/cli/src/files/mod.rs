//! Directories that are volumes or artifacts: reading them, packing them, making them equal to a
//! version.

mod archive;
mod marker;
mod packer;
mod parallel;
mod parts;
mod replace;
mod tree;
mod unpack;

pub(crate) use archive::{ArchiveError, write_archive};
pub(crate) use marker::{Marker, MarkerError, find_marker};
pub(crate) use parts::{Chunked, chunk_files};
pub(crate) use replace::{ReplaceError, replace};
pub(crate) use tree::{LocalFile, Tree, TreeError, scan};
pub(crate) use unpack::{UnpackError, UnpackLimits, unpack};
