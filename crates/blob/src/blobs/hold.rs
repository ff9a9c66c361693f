//! Naming objects and removing them never cross, in one process or between several.
//!
//! Whoever records a row that names objects holds a [`KeepGuard`] from the proof that they are
//! stored until the row is durable; whoever removes objects holds a [`SweepGuard`] from reading the
//! rows until the objects are gone. Any number of the first exclude one of the second. Both are
//! locks on one file, which end with the process that has them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::store::Blobs;
use crate::error::BlobError;

/// The lock file, below the root of the store.
const LOCK: &str = "sweep.lock";
/// How often a lock that is taken is asked for again.
const RETRY: Duration = Duration::from_millis(5);

/// While it is held nothing is removed: what was proven to be stored may be named by a row.
#[derive(Debug)]
pub struct KeepGuard {
    _file: File,
}

/// While it is held no row begins to name an object: what no row names may be removed.
#[derive(Debug)]
pub struct SweepGuard {
    _file: File,
}

impl Blobs {
    /// Waits until nothing is being removed, and keeps it so.
    ///
    /// Dropping the future gives up the wait.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be used.
    pub async fn keep(&self) -> Result<KeepGuard, BlobError> {
        let file = open(&self.inner.root)?;
        while !taken(file.try_lock_shared())? {
            sleep(RETRY).await;
        }
        Ok(KeepGuard { _file: file })
    }

    /// Waits at most `patience` for a moment in which nobody holds a [`KeepGuard`], and keeps it
    /// so; none if there was no such moment.
    ///
    /// Dropping the future gives up the wait.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be used.
    pub async fn sweep(&self, patience: Duration) -> Result<Option<SweepGuard>, BlobError> {
        let file = open(&self.inner.root)?;
        let deadline = Instant::now() + patience;
        while !taken(file.try_lock())? {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(RETRY).await;
        }
        Ok(Some(SweepGuard { _file: file }))
    }
}

fn open(root: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(root.join(LOCK))
}

fn taken(attempt: Result<(), TryLockError>) -> io::Result<bool> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
