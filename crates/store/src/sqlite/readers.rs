//! The connections that read.
//!
//! A pool of `sqlx` asks each connection after use whether it still lives, which for SQLite is one
//! more visit to the connection's thread for every statement. A file does not go away: here a
//! connection is simply put back.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::StoreError;

/// Connections at a time; further readers wait.
const READERS: usize = 8;

/// Connections that are open and not in use, and how to open more.
#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<SqliteConnection>>,
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Reader {
    /// There until it is put back.
    connection: Option<SqliteConnection>,
    readers: Arc<Readers>,
    _place: OwnedSemaphorePermit,
}

impl Readers {
    /// No connection yet.
    pub(super) fn new(options: SqliteConnectOptions) -> Arc<Self> {
        Arc::new(Self {
            options: options.pragma("query_only", "ON"),
            places: Arc::new(Semaphore::new(READERS)),
            idle: Mutex::default(),
        })
    }

    /// Takes a connection.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Reader {
            connection: Some(connection),
            readers: Arc::clone(self),
            _place: place,
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("it is put back only once")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("it is put back only once")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A statement or snapshot that was abandoned is ended by the connection's own thread
        // before it looks at the next one.
        self.readers.idle().extend(self.connection.take());
    }
}
