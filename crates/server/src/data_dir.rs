//! The data directory: where things are in it, and that one server at a time uses it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or written.
    #[error("use the data directory {}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another server uses it.
    #[error("data directory {} is in use by process {process}", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other server.
        process: String,
    },
}

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

/// The right to serve from a data directory, as long as it is held.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    // The lock ends when the file is closed, also when the process dies.
    _file: File,
}

impl DataDir {
    /// The directory at this path, made if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io)?;
        Ok(Self(path.to_owned()))
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("vm0.db")
    }

    /// The object store.
    pub(crate) fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// Finished archives, which can be made again.
    pub(crate) fn archives(&self) -> PathBuf {
        self.0.join("archives")
    }

    /// The keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Takes the right to serve from it.
    pub(crate) fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let io = |source| DataDirError::Io {
            path: self.0.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.0.join("lock"))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                file.read_to_string(&mut process).map_err(io)?;
                let process = process.trim().to_owned();
                return Err(DataDirError::InUse {
                    path: self.0.clone(),
                    process,
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(DataDirLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time_uses_a_data_directory() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&parent.path().join("data")).unwrap();
        let lock = directory.lock().unwrap();
        let refused = directory.lock().unwrap_err().to_string();
        let expected = format!("is in use by process {}", std::process::id());
        assert!(refused.ends_with(&expected), "{refused}");
        drop(lock);
        directory.lock().unwrap();
    }
}
