//! Reading images from registries: the pull half of the OCI distribution specification 1.1, with the
//! token flow of its de-facto companion, `distribution/distribution` `docs/spec/auth`.

mod challenge;
mod digest;
mod error;
mod login;
mod puller;
mod reference;
mod session;

pub use digest::{Digest, NotADigest};
pub use error::RegistryError;
pub use login::{Login, LoginError, LoginFiles};
pub use puller::{Content, Puller};
pub use reference::{Reference, ReferenceError};
