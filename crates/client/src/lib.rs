//! The typed HTTP client: the public API ([`Client`]), signing in ([`DeviceClient`]), the API between runner and server
//! ([`RunnerClient`]), the event stream of a run ([`RunEvents`], [`RunFollow`]) and images in registries
//! ([`registry`]).
//!
//! The process installs a TLS provider before it makes a client; this crate names none.

mod agents;
mod client;
mod device;
mod error;
mod events;
mod exec;
mod follow;
mod http;
mod objects;
mod page;
pub mod registry;
mod retry;
mod roots;
mod runner;
mod runs;
mod schedules;
mod secrets;
mod server_url;
mod sessions;
pub mod sse;
mod storages;
mod tokens;
mod variables;

pub use client::Client;
pub use device::DeviceClient;
pub use error::ClientError;
pub use events::{RunEvent, RunEventBody, RunEvents};
pub use exec::{ExecError, ExecInput, ExecOutput, ExecReceiver, ExecSender};
pub use follow::RunFollow;
pub use http::Body;
pub use objects::Download;
pub use page::{PageQuery, collect_pages};
pub use roots::trust_also;
pub use runner::RunnerClient;
pub use runs::{LogQuery, RunListQuery};
pub use server_url::{ServerUrl, ServerUrlError};
