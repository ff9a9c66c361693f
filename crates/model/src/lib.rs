//! The nouns and rules of vm0: identifiers, the run state machine, events, leases, version
//! identity, agent configuration, limits, error codes and the types of both wire APIs.
//!
//! Everything here is a pure function of its arguments: no I/O, no async, no clock. Callers pass
//! the time and the random bytes in.

pub mod bearer;
pub mod broker;
pub mod config;
pub mod device;
pub mod error;
pub mod event;
pub mod framework;
pub mod id;
pub mod lease;
pub mod limits;
pub mod name;
pub mod network;
pub mod path;
pub mod price;
pub mod reference;
pub mod run;
pub mod schedule;
mod schema;
pub mod secret_finder;
pub mod secret_form;
pub mod storage;
pub mod template;
pub mod time;
pub mod token;
pub mod user_code;
pub mod wire;

pub use error::{ApiError, ErrorCode};
pub use id::{
    AgentId, AgentVersionId, CheckpointId, ContentHash, ExecId, HistoryId, ManifestId, PackId,
    RunId, ScheduleId, SessionId, StorageId, TokenId, UserId, VersionId,
};
pub use lease::{Epoch, Lease};
pub use run::RunStatus;
pub use storage::{StorageKind, VersionEntry};
pub use time::Timestamp;
