//! The server over HTTP, on SQLite and a local directory: a real listener on a free port, and
//! callers that are what clients and runners are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
mod audit;
mod auth_limit;
mod bundles;
mod codes;
mod described;
mod device_auth;
mod downloads;
mod events;
mod execs;
mod garbage;
mod harness;
mod inheritance;
mod lists;
mod monitor;
mod networks;
mod openapi;
mod pages;
mod parts;
mod rim;
mod runner;
mod runs;
mod schedules;
mod security_headers;
mod sessions;
mod storage_deletes;
mod storages;
mod stored_values;
mod tokens;
mod visitor;
