//! The whole system: the real binary over HTTP, with real sandboxes and real agents.
//!
//! Each test runs once per sandbox runtime. A runtime that does not work on this machine fails its
//! tests; `VM0_TEST_SANDBOXES=runc` leaves the others out while one works on something else.

mod agents;
mod archives;
mod budget;
mod bundles;
mod canary;
mod cook;
mod crash;
mod escape;
mod exec;
mod images;
mod isolation;
mod limits;
mod network;
mod outcomes;
mod runs;
mod sandboxes;
mod secrets;
mod serve_tls;
mod sessions;
mod tls;
mod transparent;
