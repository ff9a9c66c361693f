//! The image store: a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::name::ImageName;
use crate::contract::RootImage;

/// What a file in `names/` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Version of this form.
    pub format: u32,
    /// Name with tag.
    pub name: String,
    /// `sha256:` and the digest that its registry knows it by, or else the digest over the layers.
    pub digest: String,
    /// Bytes, unpacked.
    pub size: u64,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Variables that the image sets.
    pub env: BTreeMap<String, String>,
    /// Names below `layers/`, lowest first.
    pub layers: Vec<String>,
}

/// The present form.
pub(crate) const FORMAT: u32 = 1;

/// An image that stays while this value lives.
#[derive(Debug)]
pub struct ImageLease {
    /// What it is.
    pub image: Image,
    /// Its layers.
    pub root: RootImage,
    _lock: File,
}

/// The images of one runner.
#[derive(Debug, Clone)]
pub struct ImageStore {
    dir: PathBuf,
}

impl ImageStore {
    /// The store in `dir`, made if it is not there.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn open(dir: &Path) -> Result<Self, ImageError> {
        for name in ["names", "layers", "work"] {
            let path = dir.join(name);
            fs::create_dir_all(&path).map_err(ImageError::io("create", &path))?;
        }
        let dir = dir.canonicalize().map_err(ImageError::io("find", dir))?;
        Ok(Self { dir })
    }

    /// The image of this name, or of this name and digest, locked against removal; `None` if there
    /// is none.
    ///
    /// # Errors
    /// If its description cannot be read.
    pub fn take(&self, name: &ImageName) -> Result<Option<ImageLease>, ImageError> {
        let Some(path) = self.find(name)? else {
            return Ok(None);
        };
        let Ok(lock) = File::open(&path) else {
            return Ok(None);
        };
        lock.lock_shared().map_err(ImageError::io("lock", &path))?;
        let Some(image) = read(&path)? else {
            return Ok(None);
        };
        let layers = image.layers.iter().map(|layer| self.layer(layer)).collect();
        Ok(Some(ImageLease {
            image,
            root: RootImage::Layers(layers),
            _lock: lock,
        }))
    }

    /// All images by name, each with whether a run uses it.
    ///
    /// # Errors
    /// If a description cannot be read.
    pub fn list(&self) -> Result<Vec<(Image, bool)>, ImageError> {
        let names = self.dir.join("names");
        let mut images = Vec::new();
        for entry in fs::read_dir(&names).map_err(ImageError::io("read", &names))? {
            let path = entry.map_err(ImageError::io("read", &names))?.path();
            if let Some(image) = read(&path)? {
                let used = File::open(&path).is_ok_and(|file| file.try_lock().is_err());
                images.push((image, used));
            }
        }
        images.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Ok(images)
    }

    /// Removes an image and the layers that only it has.
    ///
    /// # Errors
    /// `NotFound`, `InUse`, or that it cannot be removed.
    pub fn remove(&self, name: &ImageName) -> Result<Image, ImageError> {
        let path = self.file_of(name);
        let lock = File::open(&path).map_err(|_| ImageError::NotFound(name.to_string()))?;
        lock.try_lock()
            .map_err(|_| ImageError::InUse(name.to_string()))?;
        let image = read(&path)?.ok_or_else(|| ImageError::NotFound(name.to_string()))?;
        fs::remove_file(&path).map_err(ImageError::io("remove", &path))?;
        // Whoever makes an image now may be about to take one of its layers; the next collection
        // removes them then.
        let Some(_alone) = self.try_alone()? else {
            return Ok(image);
        };
        let kept: BTreeSet<String> = self
            .list()?
            .into_iter()
            .flat_map(|(image, _)| image.layers)
            .collect();
        for layer in image.layers.iter().filter(|layer| !kept.contains(*layer)) {
            let path = self.layer(layer);
            fs::remove_dir_all(&path).map_err(ImageError::io("remove", &path))?;
        }
        Ok(image)
    }

    /// Whether the layer is there, whole.
    pub(crate) fn has_layer(&self, layer: &str) -> bool {
        self.layer(layer).is_dir()
    }

    /// Where a layer is.
    pub(crate) fn layer(&self, layer: &str) -> PathBuf {
        self.layers_dir().join(layer)
    }

    /// Where the layers are.
    pub(super) fn layers_dir(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// Where images are made.
    pub(super) fn works_dir(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The right to remove layers, unless an image is being made now.
    pub(super) fn try_alone(&self) -> Result<Option<File>, ImageError> {
        let lock = self.lock_file()?;
        Ok(lock.try_lock().is_ok().then_some(lock))
    }

    fn lock_file(&self) -> Result<File, ImageError> {
        let path = self.dir.join("lock");
        File::create(&path).map_err(ImageError::io("create", &path))
    }

    /// A new directory for something that is being made; whoever made it is dead if its lock is free.
    pub(crate) fn workspace(&self) -> Result<Workspace, ImageError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.sweep();
        let making = self.lock_file()?;
        making
            .lock_shared()
            .map_err(ImageError::io("lock", &self.dir))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self
            .works_dir()
            .join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).map_err(ImageError::io("create", &path))?;
        let lock = File::create(path.join("lock")).map_err(ImageError::io("create", &path))?;
        lock.lock().map_err(ImageError::io("lock", &path))?;
        Ok(Workspace {
            path,
            _lock: lock,
            _making: making,
        })
    }

    /// Removes what interrupted commands left.
    fn sweep(&self) {
        for entry in fs::read_dir(self.works_dir())
            .into_iter()
            .flatten()
            .flatten()
        {
            let lock = File::open(entry.path().join("lock"));
            if lock.is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Puts an unpacked directory in its place as a layer; one that is there already wins.
    pub(crate) fn add_layer(&self, layer: &str, unpacked: &Path) -> Result<(), ImageError> {
        let place = self.layer(layer);
        match fs::rename(unpacked, &place) {
            Err(_) if place.is_dir() => Ok(()),
            other => other.map_err(ImageError::io("create", &place)),
        }
    }

    /// Records an image that nobody has given a digest under its name, in place of an older one.
    pub(crate) fn add(
        &self,
        name: &ImageName,
        env: BTreeMap<String, String>,
        layers: Vec<String>,
    ) -> Result<Image, ImageError> {
        let digest = format!(
            "sha256:{}",
            super::archive::sha256_hex(layers.join("\n").as_bytes())
        );
        self.add_as(name, digest, env, layers)
    }

    /// Records an image under its name, in place of an older one.
    pub(super) fn add_as(
        &self,
        name: &ImageName,
        digest: String,
        env: BTreeMap<String, String>,
        layers: Vec<String>,
    ) -> Result<Image, ImageError> {
        let size = layers.iter().map(|layer| size_of(&self.layer(layer))).sum();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let created_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let name_text = name.to_string();
        let image = Image {
            format: FORMAT,
            name: name_text,
            digest,
            size,
            created_at_ms,
            env,
            layers,
        };
        let path = self.file_of(name);
        let temporary = path.with_extension("new");
        let json = serde_json::to_vec_pretty(&image).expect("a struct of plain values");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(ImageError::io("write", &path))?;
        Ok(image)
    }

    /// The file of the image that is meant: with a digest it may have any tag.
    fn find(&self, name: &ImageName) -> Result<Option<PathBuf>, ImageError> {
        let (repository, Some(digest)) = name.repository_and_digest() else {
            return Ok(Some(self.file_of(name)));
        };
        let named = self.list()?.into_iter().find_map(|(image, _)| {
            let known: ImageName = image.name.parse().ok()?;
            let same = image.digest == digest && known.repository_and_digest().0 == repository;
            same.then(|| self.file_of(&known))
        });
        Ok(named)
    }

    fn file_of(&self, name: &ImageName) -> PathBuf {
        self.dir
            .join("names")
            .join(format!("{}.json", name.file_stem()))
    }
}

/// A directory that is removed with this value.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    _lock: File,
    /// No layer is removed meanwhile.
    _making: File,
}

impl Workspace {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The description in a file; `None` if it is none, or of a newer form.
fn read(path: &Path) -> Result<Option<Image>, ImageError> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(None);
    }
    let Ok(text) = fs::read(path) else {
        return Ok(None);
    };
    let image: Image = serde_json::from_slice(&text).map_err(|source| ImageError::Json {
        file: path.display().to_string(),
        source,
    })?;
    Ok((image.format == FORMAT).then_some(image))
}

/// Bytes of the files below a directory.
pub(super) fn size_of(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_in_use_is_not_removed_and_shared_layers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        for layer in ["base", "one", "two"] {
            fs::create_dir(store.layer(layer)).unwrap();
        }
        let one: ImageName = "one".parse().unwrap();
        let two: ImageName = "two".parse().unwrap();
        store
            .add(&one, BTreeMap::new(), vec!["base".into(), "one".into()])
            .unwrap();
        store
            .add(&two, BTreeMap::new(), vec!["base".into(), "two".into()])
            .unwrap();
        let lease = store.take(&one).unwrap().unwrap();
        assert!(matches!(store.remove(&one), Err(ImageError::InUse(_))));
        assert_eq!(
            store
                .list()
                .unwrap()
                .iter()
                .filter(|(_, used)| *used)
                .count(),
            1
        );
        drop(lease);
        store.remove(&one).unwrap();
        assert!(store.has_layer("base") && !store.has_layer("one"));
        store.remove(&two).unwrap();
        assert!(!store.has_layer("base"));
        assert!(store.take(&two).unwrap().is_none());
        assert!(matches!(store.remove(&two), Err(ImageError::NotFound(_))));
    }

    #[test]
    fn what_an_interrupted_command_left_is_removed_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        let left = dir.path().join("work/1-0");
        fs::create_dir(&left).unwrap();
        File::create(left.join("lock")).unwrap();
        let alive = store.workspace().unwrap();
        let second = store.workspace().unwrap();
        assert!(!left.exists());
        assert!(alive.path().exists() && second.path().exists());
    }
}
