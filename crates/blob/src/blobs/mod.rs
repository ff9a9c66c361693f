//! The server's handle to all objects.

mod objects;
mod staged;
mod store;

pub(crate) use objects::ObjectReader;
pub use objects::UploadObject;
pub(crate) use staged::Staged;
pub use store::{Blobs, ByteStream};
