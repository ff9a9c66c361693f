//! Downloading a version and making a directory equal to it.

use std::path::Path;
use std::time::Duration;

use vm0_client::Client;
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{Storage, StorageVersion};

use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{
    ReplaceError, Tree, TreeError, UnpackError, UnpackLimits, replace, scan, unpack,
};
use crate::interrupt::Interrupt;
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

/// Where downloads are unpacked, below `.vm0`.
const STAGING_PREFIX: &str = "pull-";
/// A pull that began so long ago was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

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

/// Why the directory was not made equal to the version.
enum NotReplaced {
    /// It cannot be read.
    Scan(TreeError),
    /// Somebody wrote to it since it was read first.
    Changed,
    /// It cannot be written to.
    Replace(ReplaceError),
}

impl From<NotReplaced> for Failure {
    fn from(error: NotReplaced) -> Self {
        match error {
            NotReplaced::Scan(error) => error.into(),
            NotReplaced::Replace(error) => error.into(),
            NotReplaced::Changed => {
                let message = "Local files changed during the pull; nothing was replaced";
                Self::new(Exit::Failed, "files_changed", message)
            }
        }
    }
}

/// Removes what pulls left that were killed. What is not removed costs only space.
fn remove_abandoned(own: &Path) {
    let entries = std::fs::read_dir(own).into_iter().flatten().flatten();
    let staging = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(STAGING_PREFIX)
    });
    for entry in staging {
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        let age = made.ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            let _left = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Downloads and checks the version, then makes the directory equal to it. Until the check has
/// passed nothing in the directory is touched but `.vm0`, where the download is unpacked; until
/// then Ctrl-C leaves all as it was.
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
    let mut interrupt = Interrupt::listen()?;
    let own = root.join(".vm0");
    std::fs::create_dir_all(&own)?;
    remove_abandoned(&own);
    let staging = tempfile::Builder::new()
        .prefix(STAGING_PREFIX)
        .tempdir_in(&own)?;
    let files = staging.path().join("files");
    std::fs::create_dir(&files)?;
    let new = if version.file_count == 0 {
        Tree::default()
    } else {
        let archive = staging.path().join("archive.tar.gz");
        let reference = version.id.to_string();
        let download = client.storage_download(kind, storage.id, Some(&reference));
        let download = interrupt.race(download).await?;
        let bar = byte_bar(
            output,
            "Downloading",
            download.length().unwrap_or(version.size),
        );
        let saved = download.save(&archive, |bytes| bar.inc(bytes));
        interrupt.race(saved).await?;
        bar.finish_and_clear();
        let limits = UnpackLimits {
            files: version.file_count,
            bytes: version.size,
        };
        let into = files.clone();
        interrupt
            .blocking(move |stop| unpack(&archive, &into, limits, stop))
            .await?
    };
    if new.version(storage.id) != version.id {
        let message = "The download differs from the version; nothing was changed";
        return Err(Failure::new(Exit::Failed, "download_invalid", message));
    }
    let root = root.to_owned();
    let replaced = tokio::task::spawn_blocking(move || {
        // What appeared or changed during the download was not asked about.
        let now = scan(&root).map_err(NotReplaced::Scan)?;
        if now.files != present.files {
            return Err(NotReplaced::Changed);
        }
        replace(&root, &present, &files, &new).map_err(NotReplaced::Replace)
    });
    Ok(replaced.await.expect("renaming does not panic")?)
}
