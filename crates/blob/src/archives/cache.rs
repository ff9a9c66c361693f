//! Which archives are kept, which are being written, and making room.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;
use vm0_model::{ManifestId, limits};

use super::disk::{Disk, Draft, OpenDraft};
use super::growing::{Growing, Progress};
use crate::blobs::{Blobs, ByteStream};
use crate::error::BlobError;
use crate::manifest::Manifest;

const READ_BYTES: usize = 256 << 10;

/// The archives kept in one directory, which belongs to one process. Clones share them.
#[derive(Debug, Clone)]
pub struct ArchiveCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Disk,
    budget_bytes: u64,
    builds: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<ManifestId, Kept>,
    building: HashMap<ManifestId, Building>,
}

#[derive(Debug)]
struct Kept {
    bytes: u64,
    last_used: SystemTime,
}

#[derive(Debug)]
struct Building {
    path: PathBuf,
    progress: watch::Receiver<Progress>,
}

/// An archive on its way out.
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub struct ArchiveBody {
    /// Its bytes.
    pub bytes: ByteStream,
    /// How many, if the archive is finished.
    pub size: Option<u64>,
}

/// A finished archive. It can be read to its end whatever is removed meanwhile.
#[derive(Debug)]
pub struct KeptArchive {
    file: File,
    size: u64,
}

/// Where an archive comes from.
enum Origin {
    Kept(KeptArchive),
    Growing(Growing),
    /// It is not kept: too many others are being written, or it does not fit.
    Made(Manifest),
}

impl KeptArchive {
    /// How many bytes it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The bytes in `range`, which lies in the archive.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub async fn range(self, range: Range<u64>) -> io::Result<ByteStream> {
        let mut file = tokio::fs::File::from_std(self.file);
        file.seek(io::SeekFrom::Start(range.start)).await?;
        let part = file.take(range.end - range.start);
        Ok(ReaderStream::with_capacity(part, READ_BYTES).boxed())
    }
}

impl ArchiveCache {
    /// Opens the archives in `dir`, which take at most `budget_bytes` when finished. Blocks: it
    /// removes what an earlier process left half written.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn open(dir: &Path, budget_bytes: u64) -> Result<Self, BlobError> {
        let (disk, found) = Disk::open(dir)?;
        let kept = found.into_iter().map(|found| {
            let kept = Kept {
                bytes: found.bytes,
                last_used: found.last_used,
            };
            (found.manifest, kept)
        });
        let state = State {
            kept: kept.collect(),
            building: HashMap::new(),
        };
        let inner = Inner {
            disk,
            budget_bytes,
            builds: Arc::new(Semaphore::new(limits::ARCHIVE_BUILDS_MAX)),
            state: Mutex::new(state),
        };
        inner.evict();
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The whole archive of a stored manifest, beginning at once.
    ///
    /// # Errors
    ///
    /// When the manifest cannot be read. An error in the stream is that of [`Blobs::archive`].
    pub async fn whole(&self, blobs: &Blobs, id: ManifestId) -> Result<ArchiveBody, BlobError> {
        let (bytes, size) = match self.origin(blobs, id).await? {
            Origin::Kept(kept) => {
                let size = kept.size;
                (kept.range(0..size).await?, Some(size))
            }
            Origin::Growing(growing) => (growing.into_stream(blobs.clone(), id), None),
            Origin::Made(manifest) => (blobs.archive(manifest), None),
        };
        Ok(ArchiveBody { bytes, size })
    }

    /// The archive of a stored manifest once it is finished; `None` if it cannot be kept.
    ///
    /// # Errors
    ///
    /// When the manifest cannot be read.
    pub async fn finished(
        &self,
        blobs: &Blobs,
        id: ManifestId,
    ) -> Result<Option<KeptArchive>, BlobError> {
        match self.origin(blobs, id).await? {
            Origin::Kept(kept) => Ok(Some(kept)),
            Origin::Made(_) => Ok(None),
            Origin::Growing(growing) => {
                growing.wait().await;
                self.find(id).await
            }
        }
    }

    /// The archive of a manifest, if it is kept.
    ///
    /// # Errors
    ///
    /// When the process is stopping.
    pub async fn find(&self, id: ManifestId) -> Result<Option<KeptArchive>, BlobError> {
        let now = SystemTime::now();
        let size = match self.inner.state().kept.get_mut(&id) {
            None => return Ok(None),
            Some(kept) => {
                kept.last_used = now;
                kept.bytes
            }
        };
        let inner = self.inner.clone();
        match spawn_blocking(move || inner.disk.read(id, now)).await? {
            Ok(file) => Ok(Some(KeptArchive { file, size })),
            Err(error) => {
                tracing::warn!(%error, %id, "a kept archive cannot be read");
                self.inner.state().kept.remove(&id);
                Ok(None)
            }
        }
    }

    async fn origin(&self, blobs: &Blobs, id: ManifestId) -> Result<Origin, BlobError> {
        loop {
            if let Some(kept) = self.find(id).await? {
                return Ok(Origin::Kept(kept));
            }
            if let Some(growing) = self.join(id).await {
                return Ok(Origin::Growing(growing));
            }
            let manifest = blobs.manifest_get(id).await?;
            let Ok(permit) = self.inner.builds.clone().try_acquire_owned() else {
                return Ok(Origin::Made(manifest));
            };
            let opened = match self.inner.disk.draft() {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(%error, %id, "an archive cannot be kept");
                    return Ok(Origin::Made(manifest));
                }
            };
            if let Some(growing) = self.begin(blobs, id, manifest, opened, permit) {
                return Ok(Origin::Growing(growing));
            }
        }
    }

    /// Reads along with the task that writes the archive, if there is one.
    async fn join(&self, id: ManifestId) -> Option<Growing> {
        let (path, progress) = {
            let state = self.inner.state();
            let building = state.building.get(&id)?;
            (building.path.clone(), building.progress.clone())
        };
        // The file may have been renamed by now.
        let file = tokio::fs::File::open(path).await.ok()?;
        Some(Growing::new(file, progress))
    }

    /// Starts the task that writes the archive, unless there is one.
    fn begin(
        &self,
        blobs: &Blobs,
        id: ManifestId,
        manifest: Manifest,
        opened: OpenDraft,
        permit: OwnedSemaphorePermit,
    ) -> Option<Growing> {
        let OpenDraft {
            draft,
            writer,
            reader,
        } = opened;
        let (sender, progress) = watch::channel(Progress::default());
        let building = Building {
            path: draft.path().to_owned(),
            progress: progress.clone(),
        };
        {
            let mut state = self.inner.state();
            if state.building.contains_key(&id) {
                return None;
            }
            state.building.insert(id, building);
        }
        let build = Build {
            inner: self.inner.clone(),
            id,
            progress: sender,
            _permit: permit,
        };
        tokio::spawn(build.run(blobs.archive(manifest), draft, writer));
        Some(Growing::new(tokio::fs::File::from_std(reader), progress))
    }
}

/// The task that writes one archive. When it is dropped the archive is no longer being written.
struct Build {
    inner: Arc<Inner>,
    id: ManifestId,
    progress: watch::Sender<Progress>,
    _permit: OwnedSemaphorePermit,
}

impl Build {
    async fn run(self, archive: ByteStream, draft: Draft, file: File) {
        if let Err(error) = self.write_and_keep(archive, draft, file).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, id = %self.id, "an archive is not kept");
        }
    }

    async fn write_and_keep(
        &self,
        archive: ByteStream,
        draft: Draft,
        file: File,
    ) -> io::Result<()> {
        let written = self.write(archive, tokio::fs::File::from_std(file)).await?;
        let (inner, id) = (self.inner.clone(), self.id);
        spawn_blocking(move || {
            inner.disk.keep(draft, id)?;
            let kept = Kept {
                bytes: written,
                last_used: SystemTime::now(),
            };
            inner.state().kept.insert(id, kept);
            inner.evict();
            Ok::<_, io::Error>(())
        })
        .await??;
        self.progress
            .send_modify(|progress| progress.finished = true);
        Ok(())
    }

    async fn write(&self, mut archive: ByteStream, mut file: tokio::fs::File) -> io::Result<u64> {
        let mut written = 0;
        while let Some(piece) = archive.next().await {
            let piece = piece?;
            written += piece.len() as u64;
            if written > self.inner.budget_bytes {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            file.write_all(&piece).await?;
            file.flush().await?;
            self.progress
                .send_modify(|progress| progress.written = written);
        }
        Ok(written)
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.inner.state().building.remove(&self.id);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Removes the archives that were not used for longest until the others fit. Blocks.
    fn evict(&self) {
        let mut doomed = Vec::new();
        {
            let mut state = self.state();
            let mut total: u64 = state.kept.values().map(|kept| kept.bytes).sum();
            while total > self.budget_bytes {
                let oldest = state.kept.iter().min_by_key(|(_, kept)| kept.last_used);
                let Some((id, bytes)) = oldest.map(|(id, kept)| (*id, kept.bytes)) else {
                    break;
                };
                state.kept.remove(&id);
                total -= bytes;
                doomed.push(id);
            }
        }
        for id in doomed {
            if let Err(error) = self.disk.remove(id) {
                tracing::warn!(%error, %id, "a kept archive cannot be removed");
            }
        }
    }
}
