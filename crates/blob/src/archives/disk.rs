//! The directory of kept archives: `v1/<manifest id>`, and `building/` for what is not complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use uuid::Uuid;
use vm0_model::ManifestId;

/// Names the bytes that a manifest gives; another encoder needs another name.
pub(super) const FORMAT: &str = "v1";

/// The directory, which one process uses at a time.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

/// A kept archive as found when the directory is opened.
pub(super) struct Found {
    pub(super) manifest: ManifestId,
    pub(super) bytes: u64,
    pub(super) last_used: SystemTime,
}

/// A file that is being written, removed when dropped unless it was kept.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    kept: bool,
}

/// A new draft, open for its writer and its first reader.
pub(super) struct OpenDraft {
    pub(super) draft: Draft,
    pub(super) writer: File,
    pub(super) reader: File,
}

impl Disk {
    /// Opens the directory; what an earlier process left half written, and archives of another
    /// format, are removed.
    pub(super) fn open(root: &Path) -> io::Result<(Self, Vec<Found>)> {
        let disk = Self {
            root: root.to_owned(),
        };
        fs::create_dir_all(root)?;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name() != FORMAT && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        fs::create_dir_all(disk.building())?;
        fs::create_dir_all(disk.finished())?;
        let mut found = Vec::new();
        for entry in fs::read_dir(disk.finished())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(manifest) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let metadata = entry.metadata()?;
            found.push(Found {
                manifest,
                bytes: metadata.len(),
                last_used: metadata.modified()?,
            });
        }
        Ok((disk, found))
    }

    fn building(&self) -> PathBuf {
        self.root.join("building")
    }

    fn finished(&self) -> PathBuf {
        self.root.join(FORMAT)
    }

    fn archive(&self, manifest: ManifestId) -> PathBuf {
        self.finished().join(manifest.to_string())
    }

    /// A new empty file.
    pub(super) fn draft(&self) -> io::Result<OpenDraft> {
        let path = self.building().join(Uuid::now_v7().to_string());
        let writer = File::create_new(&path)?;
        let draft = Draft { path, kept: false };
        let reader = File::open(draft.path())?;
        Ok(OpenDraft {
            draft,
            writer,
            reader,
        })
    }

    /// Makes a complete draft the archive of `manifest`. Blocks.
    pub(super) fn keep(&self, mut draft: Draft, manifest: ManifestId) -> io::Result<()> {
        File::open(&draft.path)?.sync_all()?;
        fs::rename(&draft.path, self.archive(manifest))?;
        draft.kept = true;
        Ok(())
    }

    /// The archive of `manifest`, marked as used now. Blocks.
    pub(super) fn read(&self, manifest: ManifestId, now: SystemTime) -> io::Result<File> {
        let file = File::open(self.archive(manifest))?;
        file.set_modified(now)?;
        Ok(file)
    }

    /// Removes the archive of `manifest`. Blocks.
    pub(super) fn remove(&self, manifest: ManifestId) -> io::Result<()> {
        fs::remove_file(self.archive(manifest))
    }
}

impl Draft {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a half written archive stays");
        }
    }
}
