//! Commits: an uploaded archive, checked against its declaration, becomes a pack and a manifest
//! (API 8.5).

mod declaration;
mod error;
mod members;
mod version;

pub use error::{CommitError, MemberFault, UploadFault};
pub use version::Committed;
