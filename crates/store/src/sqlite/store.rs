//! A store in one SQLite file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::error::StoreError;
use crate::record::Acting;
use crate::sqlite::audit;
use crate::sqlite::readers::{Reader, Readers};
use crate::sqlite::schema;
use crate::sqlite::token_cache::TokenCache;
use crate::sqlite::writer::Writer;

/// Another process (the command line beside a running server) holds the write lock for at most a
/// commit at a time; this long is waited for it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps.
const STATEMENT_CACHE: usize = 256;
/// The write-ahead log is cut back to this size after a checkpoint.
const LOG_SIZE_LIMIT_BYTES: &str = "67108864";

/// Metadata in one SQLite file. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    tokens: Arc<TokenCache>,
    acting: Option<Arc<Acting>>,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it if there is none, and brings its schema up to date.
    /// Must be called within a Tokio runtime, which then runs the writer.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer release wrote it; else what SQLite says.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = options(path);
        let mut connection = options.clone().create_if_missing(true).connect().await?;
        schema::migrate(&mut connection).await?;
        Ok(Self {
            writer: Writer::start(connection),
            readers: Readers::new(options),
            tokens: Arc::default(),
            acting: None,
        })
    }

    /// Runs a transaction and returns when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let by = self.acting.clone();
        self.writer.run(scoped(by, work)).await
    }

    /// The same store, with a line of the audit for what it does.
    pub(super) fn with_acting(self, by: Acting) -> Self {
        Self {
            acting: Some(Arc::new(by)),
            ..self
        }
    }

    /// Runs statements on one snapshot of the database.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send,
    {
        let mut connection = self.reader().await?;
        let mut snapshot = connection.begin().await?;
        let answer = work(&mut snapshot).await;
        snapshot.rollback().await?;
        answer
    }

    /// Transactions that wait for the writer.
    pub(super) fn waiting_writes(&self) -> u64 {
        self.writer.waiting()
    }

    /// The tokens found lately.
    pub(super) fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// A connection for a single statement that only reads.
    pub(super) async fn reader(&self) -> Result<Reader, StoreError> {
        self.readers.take().await
    }
}

/// A transaction that knows who acts.
fn scoped<T, F>(
    by: Option<Arc<Acting>>,
    work: F,
) -> impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
        + Send
        + 'static,
{
    move |connection| audit::scope(by, work(connection)).boxed()
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENT_CACHE)
        .pragma("journal_size_limit", LOG_SIZE_LIMIT_BYTES)
        .disable_statement_logging()
}
