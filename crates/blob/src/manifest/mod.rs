//! Manifests: every entry of one version and where its bytes are, and their stored form.

mod encoding;
mod entries;
mod error;

pub use entries::{Chunk, Content, Entry, FileContent, Manifest};
pub use error::ManifestError;
