//! The JSON schema of `vm0.yaml`, for editors. It is made of the keys, words and limits that the
//! checks use, and says less than they do where a schema cannot say it: what it refuses, they
//! refuse.

mod agent;
mod document;
mod forms;
mod network;

pub use document::{config_schema, config_schema_json};
