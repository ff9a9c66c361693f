//! Metadata: users, stored values, agents, runs, events, storages, sessions.
//!
//! [`contract`] is the whole interface: traits of whole-transaction methods over the records of
//! [`record`]. `sqlite` implements it; another database has the same file list and passes the
//! same suite in `tests/contract`.

pub mod contract;
pub mod error;
pub mod record;
mod sequence;
pub mod sqlite;

pub use contract::{
    AgentStore, AuditStore, DeviceStore, EventStore, GarbageStore, MonitorStore, RunNetworkStore,
    RunStore, ScheduleStore, SecretStore, SessionStore, SignInStore, StorageStore, Store,
    UserStore, VariableStore,
};
pub use error::StoreError;
pub use sqlite::SqliteStore;
