//! Manifests: every entry of one version and where its bytes are, and their stored form.

mod encoding;
mod entries;
mod error;

pub(crate) use encoding::named_packs;
pub(crate) use entries::PackEnds;
pub use entries::{Chunk, Content, Entry, FileContent, Manifest};
pub use error::ManifestError;
