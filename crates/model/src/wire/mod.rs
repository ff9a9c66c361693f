//! The JSON of both HTTP APIs: the public one (`spec/api-v1.md`) and the one between server and
//! runner.
//!
//! A field that the specification calls nullable is an `Option` that is always written; one that
//! it calls optional is skipped when it is `None`.

pub mod agents;
pub mod auth;
pub mod exec;
pub mod network;
pub mod page;
pub mod runner;
pub mod runs;
pub mod schedules;
pub mod secrets;
pub mod sessions;
pub mod storages;
pub mod tokens;
pub mod variables;
