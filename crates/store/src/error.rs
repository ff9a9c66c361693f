//! Faults of the database. What a caller did wrong is not among them: that is an outcome of the
//! method, not an error.

use std::sync::Arc;

/// The database could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The statement failed.
    #[error("run a database statement")]
    Database(#[from] sqlx::Error),
    /// The group of transactions could not be committed, so this one was not either.
    #[error("commit to the database")]
    Commit(#[source] Arc<sqlx::Error>),
    /// The data of an event is not a JSON object.
    #[error("append an event whose data is not a JSON object")]
    EventData,
    /// The schema could not be brought up to date.
    #[error("migrate the database")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database was written by a newer release.
    #[error("open the database: it was written by a newer release (schema {found}, known {known})")]
    Newer {
        /// Schema number in the database.
        found: i64,
        /// Newest schema number that this release knows.
        known: i64,
    },
    /// A stored value cannot be read back.
    #[error("read column {column} of {table}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Between the look-up of a run's artifact and this write it was deleted and made again, so the
    /// version id is that of a storage which is gone. Look it up again.
    #[error("save a version of an artifact that was made again meanwhile")]
    ArtifactMoved,
    /// The writer has ended, because the server is stopping.
    #[error("write to the database: it is closed")]
    Closed,
}
