//! The metrics of the server (API 13).

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use vm0_blob::StoredBytes;

use super::context::App;
use super::error::AppError;
use crate::monitor::Levels;

/// The object store is counted at most this often: it is a walk over every object.
const OBJECTS_INTERVAL: Duration = Duration::from_secs(300);

/// The last count of the object store.
#[derive(Debug, Default)]
pub(crate) struct ObjectCount(Mutex<Option<(Instant, StoredBytes)>>);

impl App {
    /// The metrics as text.
    pub(crate) async fn metrics_view(&self) -> Result<String, AppError> {
        let runs = self.store.run_count_all().await?;
        let stored = self.objects_counted().await?;
        Ok(self.meters.text(Levels {
            pending: runs.pending,
            running: runs.running,
            write_queue: self.store.write_queue(),
            objects: stored.objects,
            object_bytes: stored.bytes,
        }))
    }

    /// One counts at a time; who comes meanwhile waits for that count.
    async fn objects_counted(&self) -> Result<StoredBytes, AppError> {
        let mut last = self.object_count.0.lock().await;
        match *last {
            Some((at, stored)) if at.elapsed() < OBJECTS_INTERVAL => Ok(stored),
            _ => {
                let stored = self.blobs.stored_bytes().await?;
                *last = Some((Instant::now(), stored));
                Ok(stored)
            }
        }
    }
}
