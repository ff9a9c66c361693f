//! The bytes of versions: packs and manifests over an object store, verified commits, archives
//! streamed from packs, the runner's cache of version trees, and the change of a workspace.
//!
//! A commit writes two objects. A **pack** holds the file contents that are new, each chunk its own
//! zstd frame; a **manifest** names every entry of the version and where its bytes are, so that
//! unchanged files point into older packs. Both are content addressed and never change.
//!
//! *Invariant:* nothing here knows runs or rows. What a caller records may name only bytes that a
//! call of this crate has already reported durable.

mod archive;
mod archives;
mod blobs;
mod changes;
mod commit;
mod error;
mod fetch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gzip;
mod manifest;
mod object;
mod pack;
mod parts;
mod scan;
mod tree;
mod verify;

pub use archives::{ArchiveBody, ArchiveCache, KeptArchive, collect as archive_collect};
pub use blobs::{
    Blobs, ByteStream, KeepGuard, StoredBytes, StoredObject, SweepGuard, TemporaryObject,
    UploadObject,
};
pub use changes::{PackFile, Packed, pack_changes};
pub use commit::{CommitError, Committed, MemberFault, PreparedVersion, UploadFault};
pub use error::BlobError;
pub use fetch::{PackSource, PackSourceError};
pub use manifest::{Chunk, Content, Entry, FileContent, Manifest, ManifestError};
pub use object::{ObjectId, ObjectKind};
pub use pack::PackError;
pub use parts::{ChunkedContent, PartBuilder, PartFault, PartPlan, PlanFault, chunk_content};
pub use scan::{Changes, LeftOut, ScanError, ScanLimits, ScanWarning, scan};
pub use tree::{TreeCache, TreeError, TreeGuard, collect as tree_collect};
pub use verify::ObjectState;
