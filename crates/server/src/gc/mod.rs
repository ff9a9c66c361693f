//! Garbage collection: what no row refers to is removed, and nothing else ever.
//!
//! # Why no row ever names an object that is gone
//!
//! Bytes are stored before the row that names them, and a new manifest may point into packs of any
//! age: the version that was its base may be deleted while the commit, or the run, still goes on.
//! So neither the age of an object nor a mark made a moment ago says that it may be removed. The
//! rule has three parts.
//!
//! 1. **Naming and removing exclude each other.** Whoever records a row that names objects holds a
//!    [`vm0_blob::KeepGuard`] from before the proof that each of them is stored until the row is
//!    durable. Whoever removes objects holds the [`vm0_blob::SweepGuard`] from before it reads the
//!    rows until the objects are gone. With that alone no row can name a missing object: a recorder
//!    that comes first is seen by the sweep; one that comes later finds the object missing and
//!    records nothing. Both guards are locks on one file, so this holds between processes, and a
//!    process that dies lets go.
//! 2. **An object is condemned first and removed later.** The first sweep that finds it without a
//!    reference notes since when that is so; it is removed after it was without one for the whole
//!    grace period, and if it was stored for that long. A recorder that names it takes the note
//!    away under its guard, and so a later condemnation begins anew. This is what a commit under
//!    way, a download under way and an object stored again live on; part 1 would only refuse them.
//! 3. **What was condemned after the oldest running run began stays.** That run may have mounted
//!    it, and its workspace will point into it, however long it takes.
//!
//! The mark reads every manifest that a row names. If one of them cannot be read, nothing is known
//! of its packs, and nothing is removed. Before each batch is removed, the rows are read once more
//! under the guard and the manifests that are new are added to the mark; that is short, because
//! there are few.
//!
//! A collection that is killed leaves objects and notes that are each true: an object that is
//! gone was named by no row; a note without its object is dropped by the next sweep, and if the
//! object is stored again meanwhile its own age protects it. Two collections at a time take turns.
//!
//! | file | what |
//! |---|---|
//! | `rule` | what becomes of one object: a function of what is known of it |
//! | `marked` | what rows refer to, and what those manifests refer to |
//! | `collector` | the sweep |
//! | `old` | `--older-than`: telemetry of old runs, salvaged versions |
//! | `report`, `command` | what was done, and `vm0 gc`, which removes kept archives of what is gone too |

mod collector;
mod command;
mod error;
mod marked;
mod old;
mod report;
mod rule;

pub(crate) use collector::Collector;
pub use command::{GcOptions, gc};
pub use error::GcError;
pub use report::{GcItem, GcReport};
