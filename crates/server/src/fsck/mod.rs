//! Whether every byte that rows name is there and is what it was when it was stored.
//!
//! Every manifest that a row names is hashed and decoded; every pack that one of them names is
//! hashed, and each chunk in it that is named is decompressed and hashed; every history that a
//! checkpoint names is hashed. Objects that nothing names are listed, which is no fault.
//!
//! Nothing is changed. Beside a running server a check sees the rows of one moment: what they name
//! cannot be removed before the grace period of the garbage collection is over.

mod checker;
mod command;
mod report;

pub use command::{FsckError, fsck};
pub use report::{Finding, FindingState, FsckReport};
