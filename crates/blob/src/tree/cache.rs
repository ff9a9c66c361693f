//! Which trees there are, who uses them, and building each once.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use vm0_model::VersionId;

use super::build::build;
use super::disk::Disk;
use super::error::TreeError;
use crate::fetch::PackSource;
use crate::manifest::Manifest;

/// The version trees in one directory. Clones share them.
#[derive(Debug, Clone)]
pub struct TreeCache {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) disk: Disk,
    slots: Mutex<HashMap<VersionId, Arc<Slot>>>,
    /// Held shared while a tree is built and alone while contents without trees are removed.
    pub(super) contents: Arc<tokio::sync::RwLock<()>>,
}

/// One version that is in the cache or on its way into it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) version: VersionId,
    ready: AtomicBool,
    pins: AtomicUsize,
    last_used_micros: AtomicU64,
    bytes: AtomicU64,
    building: tokio::sync::Mutex<()>,
}

/// The right to use a tree: it stays as long as a guard for it exists.
#[derive(Debug)]
pub struct TreeGuard {
    path: PathBuf,
    slot: Arc<Slot>,
}

impl TreeGuard {
    /// The tree, to be mounted as a lower layer and never written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version.
    pub fn version_id(&self) -> VersionId {
        self.slot.version
    }
}

impl Clone for TreeGuard {
    fn clone(&self) -> Self {
        self.slot.pins.fetch_add(1, Ordering::Relaxed);
        Self {
            path: self.path.clone(),
            slot: self.slot.clone(),
        }
    }
}

impl Drop for TreeGuard {
    fn drop(&mut self) {
        self.slot.pins.fetch_sub(1, Ordering::Release);
    }
}

impl TreeCache {
    /// Opens the cache in `dir`, whose files belong to `owner` (host uid and gid), or to the caller
    /// if that is none. Blocks: it removes what an earlier process left half built, and everything
    /// if the machine was restarted, the format or the owner changed.
    ///
    /// # Errors
    ///
    /// [`TreeError::Busy`] when another process has it open.
    pub fn open(dir: &Path, owner: Option<(u32, u32)>) -> Result<Self, TreeError> {
        let disk = Disk::open(dir, owner)?;
        let mut slots = HashMap::new();
        for tree in fs::read_dir(disk.trees())? {
            let name = tree?.file_name();
            let Some(version) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            slots.insert(version, Arc::new(Slot::restored(version, &disk)));
        }
        let slots = Mutex::new(slots);
        let contents = Arc::default();
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                slots,
                contents,
            }),
        })
    }

    /// The tree of `version`, whose entries `manifest` lists. If it is not in the cache it is
    /// built from `source`, once for all who ask at the same time, and every content is verified.
    ///
    /// Dropping the future abandons a build that it had begun.
    ///
    /// # Errors
    ///
    /// When contents cannot be fetched, are not what the manifest says, or cannot be written. The
    /// next call tries again.
    pub async fn ensure(
        &self,
        version: VersionId,
        manifest: &Manifest,
        source: &dyn PackSource,
    ) -> Result<TreeGuard, TreeError> {
        let guard = self.pin(version);
        let slot = guard.slot.clone();
        if slot.ready.load(Ordering::Acquire) {
            return Ok(guard);
        }
        let _building = slot.building.lock().await;
        if slot.ready.load(Ordering::Acquire) {
            return Ok(guard);
        }
        let contents = self.inner.contents.clone().read_owned().await;
        build(self.inner.clone(), contents, version, manifest, source).await?;
        slot.bytes.store(manifest.size(), Ordering::Relaxed);
        slot.ready.store(true, Ordering::Release);
        Ok(guard)
    }

    /// The tree of `version`, if it is in the cache.
    pub fn get(&self, version: VersionId) -> Option<TreeGuard> {
        let is_ready = |slot: &Arc<Slot>| slot.ready.load(Ordering::Acquire);
        let there = self.inner.slots().get(&version).is_some_and(is_ready);
        there
            .then(|| self.pin(version))
            .filter(|guard| is_ready(&guard.slot))
    }

    fn pin(&self, version: VersionId) -> TreeGuard {
        let mut slots = self.inner.slots();
        let slot = slots
            .entry(version)
            .or_insert_with(|| Arc::new(Slot::new(version)));
        slot.pins.fetch_add(1, Ordering::Acquire);
        slot.last_used_micros.store(now_micros(), Ordering::Relaxed);
        TreeGuard {
            path: self.inner.disk.tree(version),
            slot: slot.clone(),
        }
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<VersionId, Arc<Slot>>> {
        self.slots
            .lock()
            .expect("no code panics while it holds the lock")
    }

    /// Bytes of all trees, counted as if they shared nothing.
    pub(super) fn bytes(&self) -> u64 {
        self.slots()
            .values()
            .map(|slot| slot.bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// Takes the tree that nobody has used for longest out of the list. Nobody can pin it then.
    pub(super) fn take_oldest(&self) -> Option<VersionId> {
        let mut slots = self.slots();
        let idle = slots
            .values()
            .filter(|slot| slot.pins.load(Ordering::Acquire) == 0);
        let oldest = idle.min_by_key(|slot| slot.last_used_micros.load(Ordering::Relaxed))?;
        let version = oldest.version;
        slots.remove(&version);
        Some(version)
    }
}

impl Slot {
    fn new(version: VersionId) -> Self {
        Self {
            version,
            ready: AtomicBool::new(false),
            pins: AtomicUsize::new(0),
            last_used_micros: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            building: tokio::sync::Mutex::new(()),
        }
    }

    /// The slot of a tree that an earlier process built.
    fn restored(version: VersionId, disk: &Disk) -> Self {
        let slot = Self::new(version);
        let path = disk.size_file(version);
        let bytes = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.parse().ok());
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        slot.bytes.store(bytes.unwrap_or(0), Ordering::Relaxed);
        slot.last_used_micros
            .store(used.map_or(0, micros), Ordering::Relaxed);
        slot.ready.store(true, Ordering::Release);
        slot
    }
}

fn now_micros() -> u64 {
    micros(SystemTime::now())
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Writes how large a tree is, so that the next process knows.
pub(super) fn write_size(disk: &Disk, version: VersionId, bytes: u64) -> io::Result<()> {
    fs::write(disk.size_file(version), bytes.to_string())
}
