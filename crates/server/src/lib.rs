//! The server: the public API and the runner API over HTTP, on a store and an object store.
//!
//! `http` turns requests into calls of `app` and answers into responses, and decides nothing;
//! `app` has the operations and knows no HTTP; `background` does what time demands; `gc` and `fsck`
//! keep the bytes in order, beside a server or without one.
//!
//! *Invariant:* nothing here knows sandboxes. A run is executed by whoever claims it over HTTP.

mod app;
mod audit;
mod background;
mod clock;
mod config;
mod connections;
mod data_dir;
mod fsck;
mod gc;
mod http;
mod key_file;
mod keys;
mod monitor;
mod openapi;
mod run_fill;
mod serve;
mod tls;
mod token_create;

pub use audit::{AuditError, AuditLine, AuditReader};
pub use config::{ServerConfig, StartError};
pub use data_dir::DataDirError;
pub use fsck::{Finding, FindingState, FsckError, FsckReport, fsck};
pub use gc::{GcError, GcItem, GcOptions, GcReport, gc};
pub use http::{Endpoint, endpoints};
pub use key_file::KeyError;
pub use openapi::openapi_json;
pub use run_fill::{RunFill, RunFillError, run_fill};
pub use serve::{RunningServer, Server};
pub use tls::{TlsError, TlsFiles};
pub use token_create::{TokenCreateError, TokenFor, TokenRequest, token_create};
