//! Uploads in parts: a client sends only the chunks that a version of the storage does not hold.
//!
//! The declaration says of which chunks every file consists. The **plan** of an upload follows from
//! it and from the version that it builds on: which chunks are missing, and how they are cut into
//! parts. Both sides see the same plan, so a part needs no index: it is a pack (see `pack`) with
//! exactly the chunks of its place in the plan, in their order, and becomes a pack of the store as
//! it is once every byte of it is verified.
//!
//! | file | what |
//! |---|---|
//! | `plan` | what is missing: a function of the declaration and the base |
//! | `build` | the client's side: cutting files, making a part |
//! | `read` | a part that was sent: where its frames are, and whether they are the chunks |
//! | `files` | whether the chunks of a file make up the file |
//! | `version` | the version that parts and base make together |

mod build;
mod files;
mod plan;
mod read;
mod version;

pub use build::{ChunkedContent, PartBuilder, chunk_content};
#[cfg(fuzzing)]
pub(crate) use plan::Wanted;
pub use plan::{PartPlan, PlanFault};
pub use read::PartFault;
#[cfg(fuzzing)]
pub(crate) use read::{Place, read_part};
