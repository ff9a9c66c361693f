//! Root file systems: imported or built, stored once, unpacked once, shared read-only.
//!
//! ```text
//! DIR/names/<name>.json      what an image is: layers, variables, digest
//! DIR/layers/<digest>/       an unpacked layer, ids shifted by `ids::BASE`
//! DIR/work/                  what is being made; emptied when the next is made
//! DIR/lock                   held (shared) while an image is made: no layer is removed meanwhile
//! ```
//!
//! An image in use is locked (shared) by its user; removing takes the lock for itself.

mod archive;
mod build;
mod collect;
mod debian;
mod draft;
mod error;
mod import;
mod manifest;
mod name;
mod store;
mod unpack;

pub use collect::ImageGarbage;
pub use draft::{Brought, ImageDraft};
pub use error::ImageError;
pub use manifest::{Described, Descriptor, MAX_INDEXES, Manifest};
pub use name::ImageName;
pub use store::{Image, ImageLease, ImageStore};
