//! A backend in this process, for tests: **it isolates nothing and limits nothing but disk**.
//!
//! Programs are simulated. `["sh", "-c", SCRIPT]` and the prompt of `/vm0/agent shell` understand a
//! small part of the shell (see [`script`]), enough for the contract suite. Files are real: each
//! mount is a pair of lower and upper directory as with the others, so layers are too.
//!
//! It is stricter than the real ones: a name or directory in use twice, a relative path, an
//! unknown command are errors at once.

mod backend;
mod command;
mod events;
mod files;
mod running;
mod script;

pub use backend::FakeBackend;
