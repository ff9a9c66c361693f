//! The server's handle to all objects.

mod hold;
mod objects;
mod staged;
mod store;
mod stored;
mod uploads;
mod usage;

pub use hold::{KeepGuard, SweepGuard};
pub(crate) use objects::ObjectReader;
pub(crate) use staged::Staged;
pub use store::{Blobs, ByteStream};
pub use stored::{StoredObject, TemporaryObject};
pub use uploads::UploadObject;
pub use usage::StoredBytes;
