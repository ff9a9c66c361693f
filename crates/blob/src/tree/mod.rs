//! The runner's cache of version trees: each version it has used as a read-only directory, to be
//! the lower layer of an overlay. Attaching a cached version costs the same whatever its size.
//!
//! ```text
//! lock                      held while a process uses the cache
//! stamp                     format, boot and owner for which the rest is valid
//! contents/ab/abcd…[.x]     one file for each content and execute bit
//! trees/<version id>/       files are hard links to contents
//! sizes/<version id>        bytes of the tree, for the accounts of the next process
//! building/<uuid>           trees and contents before they are complete
//! ```
//!
//! Nothing here is synced to disk: after a reboot the whole cache is dropped.

mod build;
mod cache;
mod collect;
mod contents;
mod disk;
mod error;
mod evict;

pub use cache::{TreeCache, TreeGuard};
pub use collect::collect;
pub use error::TreeError;
