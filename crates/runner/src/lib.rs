//! Executes runs: claims them from a server, prepares and runs them in sandboxes, streams what they
//! emit, saves what they leave, and cleans up.
//!
//! Read `execution.rs` first.
//!
//! *Invariant:* knows no SQL, no bucket keys and no HTTP server; everything it learns and tells goes
//! through the runner API, under the lease of one run.

pub mod doctor;
pub mod garbage;
pub mod images;

mod agent;
mod boot;
mod budget;
mod bundle;
mod chain;
mod checkpoint;
mod claim;
mod clock;
mod config;
mod conversation;
mod environment;
mod event;
mod exec;
mod execution;
mod finish;
mod history;
mod host;
mod image;
mod implied;
mod lease;
mod line;
mod link;
mod mask;
mod network;
mod outcome;
mod output;
mod prepare;
mod recover;
mod run;
mod runner;
mod secrets;
mod spool;
mod state;
mod supervise;
mod telemetry;
mod uplink;
mod usage;
mod versions;
mod workspace;

pub use config::{RunnerConfig, SandboxChoice};
pub use runner::{Runner, RunnerError, RunningRunner};
pub use vm0_egress::{UpstreamProxy, install_crypto_provider};
pub use vm0_sandbox::{
    Kind as SandboxKind, UnknownKind as UnknownSandboxKind, give_back_large_buffers,
};
