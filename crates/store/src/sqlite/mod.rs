//! The SQLite backend: one writer that commits in groups, and a pool of readers.
//!
//! | file | what |
//! |---|---|
//! | `store` | opening, reading, writing |
//! | `schema`, `migrations/` | the tables |
//! | `readers` | the connections that read |
//! | `writer` | the one connection that writes |
//! | `columns`, `batch` | rows out, rows in |
//! | `token_cache` | tokens found lately |
//! | `users`, `devices`, `sign_in`, `secrets`, `variables`, `agents`, `schedules`, `storages`, `runs`, `events`, `sessions` | one file per trait |
//! | `versions` | recording a version and moving a head, for commits and runs |
//! | `run_create`, `run_claim`, `run_finish`, `run_networks` | transactions of a run |
//! | `logs`, `metrics` | transactions of a run's telemetry |
//! | `audit` | who did what, written with it |
//! | `garbage` | what rows refer to, and removing what is old |

mod agents;
mod audit;
mod batch;
mod columns;
mod devices;
mod events;
mod garbage;
mod logs;
mod metrics;
mod monitor;
#[cfg(test)]
mod plans;
mod readers;
mod run_claim;
mod run_create;
mod run_finish;
mod run_networks;
mod runs;
mod schedules;
mod schema;
mod secrets;
mod sessions;
mod sign_in;
mod storages;
mod store;
mod token_cache;
mod users;
mod variables;
mod versions;
mod writer;

pub use store::SqliteStore;
