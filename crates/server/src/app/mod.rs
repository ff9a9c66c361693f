//! What the server does, without HTTP: one operation per endpoint, over the store and the blobs.

mod agents;
mod context;
mod cursor;
mod error;
mod events;
mod health;
mod logs;
mod metrics;
mod monitor;
mod objects;
mod runner;
mod runs;
mod secrets;
mod sessions;
mod storages;
mod stored_values;
mod token_use;
mod tokens;
mod uploads;
mod variables;
mod wakeups;

pub(crate) use context::{App, Context, Phase, Settings};
pub(crate) use cursor::PageRequest;
pub(crate) use error::AppError;
pub(crate) use events::{EventStart, RunEventStream, StreamItem, output};
pub(crate) use logs::LogQuery;
pub(crate) use metrics::RunMetrics;
pub(crate) use monitor::ObjectCount;
pub(crate) use objects::{ArchiveOf, SignedUrl};
pub(crate) use runner::{RunObject, run_id};
pub(crate) use runs::{RunListQuery, RunRequest};
pub(crate) use storages::CommitRequest;
pub(crate) use token_use::TokenUse;
pub(crate) use tokens::{Caller, RunnerCaller, fresh_token};
pub(crate) use vm0_store::record::PutOutcome;
pub(crate) use wakeups::Wakeups;
