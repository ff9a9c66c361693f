//! Commits: an uploaded archive, checked against its declaration, becomes a pack and a manifest
//! (API 8.5).

mod ahead;
mod declaration;
mod error;
mod members;
mod version;

pub use error::{CommitError, MemberFault, UploadFault};
#[cfg(fuzzing)]
pub(crate) use version::dry_commit;
pub use version::{Committed, PreparedVersion};
