//! Downloading a version and making a directory equal to it.

use std::path::Path;

use vm0_client::Client;
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{Storage, StorageVersion};

use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{ReplaceError, Tree, UnpackError, UnpackLimits, replace, unpack};
use crate::output::Output;
use crate::progress::byte_bar;

impl From<UnpackError> for Failure {
    fn from(error: UnpackError) -> Self {
        Self::of("download", &error)
    }
}

impl From<ReplaceError> for Failure {
    fn from(error: ReplaceError) -> Self {
        Self::of("replace", &error)
    }
}

/// What to download, and into what.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    pub(super) kind: StorageKind,
    pub(super) storage: &'a Storage,
    pub(super) version: &'a StorageVersion,
    pub(super) root: &'a Path,
    /// What is in `root` now.
    pub(super) present: Tree,
}

/// Downloads and checks the version, then makes the directory equal to it. Until the check has
/// passed nothing in the directory is touched but `.vm0`, where the download is unpacked.
pub(super) async fn fetch(
    client: &Client,
    output: &Output,
    fetch: Fetch<'_>,
) -> Result<(), Failure> {
    let Fetch {
        kind,
        storage,
        version,
        root,
        present,
    } = fetch;
    let own = root.join(".vm0");
    std::fs::create_dir_all(&own)?;
    let staging = tempfile::Builder::new().prefix("pull-").tempdir_in(&own)?;
    let files = staging.path().join("files");
    std::fs::create_dir(&files)?;
    let new = if version.file_count == 0 {
        Tree::default()
    } else {
        let archive = staging.path().join("archive.tar.gz");
        let reference = version.id.to_string();
        let download = client
            .storage_download(kind, storage.id, Some(&reference))
            .await?;
        let bar = byte_bar(
            output,
            "Downloading",
            download.length().unwrap_or(version.size),
        );
        download.save(&archive, |bytes| bar.inc(bytes)).await?;
        bar.finish_and_clear();
        let limits = UnpackLimits {
            files: version.file_count,
            bytes: version.size,
        };
        let into = files.clone();
        let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, &into, limits));
        unpacked.await.expect("unpacking does not panic")?
    };
    if new.version(storage.id) != version.id {
        let message = "The download differs from the version; nothing was changed";
        return Err(Failure::new(Exit::Failed, "download_invalid", message));
    }
    let root = root.to_owned();
    let replaced = tokio::task::spawn_blocking(move || replace(&root, &present, &files, &new));
    Ok(replaced.await.expect("renaming does not panic")?)
}
