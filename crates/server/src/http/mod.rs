//! HTTP: extract, call the app, convert. Nothing is decided here.

mod agents;
mod auth;
mod config_schema;
mod device_auth;
mod events;
mod execs;
mod extract;
mod fields;
mod frame;
mod health;
mod logs;
mod metrics;
mod monitor;
mod objects;
mod openapi;
mod pages;
mod range;
mod respond;
mod router;
mod runner;
mod runs;
mod schedules;
mod secrets;
mod sessions;
mod storages;
mod tokens;
mod variables;

pub(crate) use auth::Peer;
pub(crate) use openapi::document;
pub use router::{Endpoint, endpoints};
pub(crate) use router::{router, runner_router};
