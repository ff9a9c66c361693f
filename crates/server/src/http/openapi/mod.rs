//! The public API described in OpenAPI 3.1 (API 13): one entry per operation, schemas from the
//! wire types.
//!
//! An operation is added by an entry in the file of its resource; a test compares the entries with
//! the router.

mod agent_config;
mod agents;
mod body;
mod document;
mod errors;
mod form;
mod operation;
mod runs;
mod schedules;
mod serve;
mod service;
mod sessions;
mod storages;
mod telemetry;
mod tokens;
mod values;

pub(crate) use document::document;
pub(super) use serve::routes;
