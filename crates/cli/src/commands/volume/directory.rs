//! The directory that a command works on.

use std::path::{Path, PathBuf};

use vm0_model::storage::StorageKind;

use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{MarkerError, Tree, TreeError, find_marker, scan};

/// A directory that is a volume or artifact.
#[derive(Debug)]
pub(super) struct Directory {
    /// Where it is.
    pub(super) root: PathBuf,
    /// Its name on the server.
    pub(super) name: String,
}

impl From<MarkerError> for Failure {
    fn from(error: MarkerError) -> Self {
        Self::of("storage_file", &error)
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::of("files", &error)
    }
}

/// The working directory.
pub(super) fn current_dir() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::new(
            Exit::Failed,
            "directory",
            format!("Failed to find the directory: {error}"),
        )
    })
}

/// The working directory, or the first above it that is a storage; it must be of `kind`, or
/// `command` of the other kind is named.
pub(super) fn find(kind: StorageKind, command: &str) -> Result<Directory, Failure> {
    let Some((root, marker)) = find_marker(&current_dir()?)? else {
        let failure = Failure::new(
            Exit::Failed,
            "not_initialised",
            format!("This directory is no {kind}: .vm0/storage.yaml is missing"),
        );
        return Err(failure.hint(format!("Run: vm0 {kind} init")));
    };
    if marker.kind != kind {
        let failure = Failure::new(
            Exit::Failed,
            "other_kind",
            format!("{} is an {}, not a {kind}", root.display(), marker.kind)
                .replace("an volume", "a volume")
                .replace("a artifact", "an artifact"),
        );
        return Err(failure.hint(format!("Use: vm0 {} {command}", marker.kind)));
    }
    Ok(Directory {
        root,
        name: marker.name,
    })
}

/// Reads and hashes a directory beside the async runtime.
pub(super) async fn scan_dir(root: &Path) -> Result<Tree, Failure> {
    let root = root.to_owned();
    let scanned = tokio::task::spawn_blocking(move || scan(&root)).await;
    Ok(scanned.expect("reading a directory does not panic")?)
}
