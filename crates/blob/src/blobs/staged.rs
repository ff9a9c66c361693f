//! Objects on their way into the store.
//!
//! An object is written to a file of its own in the staging directory, made durable, and renamed to
//! its place: it is there in full or not at all, whenever the power goes.

use std::fs::{DirEntry, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use crate::error::BlobError;

/// The directory of staged files, below the root of the store.
pub(crate) const STAGING: &str = "staging";
/// A staged file that nobody wrote to for this long belongs to a process that died.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// A staged file, removed when dropped unless it was published.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    key: object_store::path::Path,
    published: bool,
}

impl Staged {
    /// A new empty file below `root`, open for writing.
    pub(crate) fn create(root: &Path) -> std::io::Result<(Self, File)> {
        let name = Uuid::now_v7().to_string();
        let path = root.join(STAGING).join(&name);
        let file = File::create_new(&path)?;
        let key = object_store::path::Path::from(format!("{STAGING}/{name}"));
        Ok((
            Self {
                path,
                key,
                published: false,
            },
            file,
        ))
    }

    /// The object that is at `key` below `root` now: what takes its place later is another file.
    pub(crate) fn link(root: &Path, key: &object_store::path::Path) -> std::io::Result<Self> {
        let name = Uuid::now_v7().to_string();
        let path = root.join(STAGING).join(&name);
        std::fs::hard_link(root.join(key.as_ref()), &path)?;
        let key = object_store::path::Path::from(format!("{STAGING}/{name}"));
        let staged = Self {
            path,
            key,
            published: false,
        };
        // It may have waited for an hour, and is not abandoned.
        let file = File::options().write(true).open(&staged.path)?;
        file.set_modified(SystemTime::now())?;
        Ok(staged)
    }

    /// Makes the file durable and visible at `key`. Returns when both are so.
    pub(crate) async fn publish(
        mut self,
        store: &Arc<dyn ObjectStore>,
        key: &object_store::path::Path,
    ) -> Result<(), BlobError> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || File::open(path)?.sync_all()).await??;
        store
            .rename(&self.key, key)
            .await
            .map_err(BlobError::Store)?;
        self.published = true;
        Ok(())
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a staged file stays behind");
        }
    }
}

/// Makes the staging directory and removes what dead processes left in it.
pub(crate) fn prepare(root: &Path) -> std::io::Result<()> {
    let staging = root.join(STAGING);
    std::fs::create_dir_all(&staging)?;
    let now = SystemTime::now();
    for file in std::fs::read_dir(&staging)? {
        match remove_abandoned(&file?, now) {
            // Another process uses the store and has published or removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

fn remove_abandoned(file: &DirEntry, now: SystemTime) -> std::io::Result<()> {
    let idle = now
        .duration_since(file.metadata()?.modified()?)
        .unwrap_or_default();
    if idle > ABANDONED_AFTER {
        std::fs::remove_file(file.path())?;
    }
    Ok(())
}
