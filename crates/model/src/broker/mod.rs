//! Brokered secrets: which secrets of a run stay outside its sandbox, what stands for them
//! inside, and where the gateway puts their values (agents 1.4).
//!
//! Pure rules. Whether a secret is brokered depends on its name and the configuration alone
//! ([`brokered_secrets`]); where it goes also on the base URLs of the expanded environment
//! ([`secret_bindings`]).

mod base_url;
mod binding;
mod built_in;
mod placeholder;
mod resolve;

pub use base_url::BaseUrl;
pub use binding::{Binding, Place, Transport};
pub use placeholder::{PLACEHOLDER_MARK, PLACEHOLDER_RANDOM_BYTES, placeholder};
pub use resolve::{brokered_secrets, secret_bindings};
