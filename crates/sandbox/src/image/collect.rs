//! What no image needs: layers without an image, and what interrupted commands left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::ImageError;
use super::store::{ImageStore, size_of};

/// What a collection removed from an image store, or would remove: bytes of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageGarbage {
    /// Layers that no image has.
    pub layers: Vec<u64>,
    /// Directories of commands that were interrupted.
    pub works: Vec<u64>,
}

impl ImageStore {
    /// Removes what no image needs and what was not changed after `before`. Nothing is removed
    /// while an image is being made, because it may be about to take such a layer.
    ///
    /// # Errors
    /// If the store cannot be read or something cannot be removed; the rest is removed by the next.
    pub fn collect(&self, before: SystemTime, dry_run: bool) -> Result<ImageGarbage, ImageError> {
        let mut garbage = ImageGarbage::default();
        let Some(_alone) = self.try_alone()? else {
            return Ok(garbage);
        };
        let named: BTreeSet<String> = self
            .list()?
            .into_iter()
            .flat_map(|(image, _)| image.layers)
            .collect();
        for path in entries(&self.layers_dir())? {
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_none_or(|name| !named.contains(name)) && changed(&path)? <= before {
                garbage.layers.push(remove(&path, dry_run)?);
            }
        }
        for path in entries(&self.works_dir())? {
            let lock = File::open(path.join("lock"));
            let dead = lock.map_or(true, |lock| lock.try_lock().is_ok());
            if dead && changed(&path)? <= before {
                garbage.works.push(remove(&path, dry_run)?);
            }
        }
        Ok(garbage)
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let read = || {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    let paths: std::io::Result<Vec<PathBuf>> = read();
    let mut paths = paths.map_err(ImageError::io("read", directory))?;
    paths.sort();
    Ok(paths)
}

/// When the directory was put in its place or changed itself. Its `mtime` is what its archive said.
fn changed(path: &Path) -> Result<SystemTime, ImageError> {
    let metadata = fs::symlink_metadata(path).map_err(ImageError::io("read", path))?;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Its bytes.
fn remove(path: &Path, dry_run: bool) -> Result<u64, ImageError> {
    let bytes = size_of(path);
    if !dry_run {
        fs::remove_dir_all(path).map_err(ImageError::io("remove", path))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_what_no_image_needs_is_removed_and_nothing_while_one_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        for layer in ["base", "orphan"] {
            fs::create_dir(store.layer(layer)).unwrap();
            fs::write(store.layer(layer).join("file"), "12345").unwrap();
        }
        let name = "one".parse().unwrap();
        store
            .add(&name, BTreeMap::new(), vec!["base".into()])
            .unwrap();
        fs::create_dir(dir.path().join("work/1-0")).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let young = SystemTime::now() - Duration::from_secs(60);
        let nothing = ImageGarbage::default();
        assert_eq!(store.collect(young, false).unwrap(), nothing);
        let expected = ImageGarbage {
            layers: vec![5],
            works: vec![0],
        };
        assert_eq!(store.collect(later, true).unwrap(), expected);
        let making = store.workspace().unwrap();
        assert_eq!(store.collect(later, false).unwrap(), nothing);
        drop(making);
        fs::create_dir_all(dir.path().join("work/1-0")).unwrap();
        assert_eq!(store.collect(later, false).unwrap(), expected);
        assert!(store.has_layer("base") && !store.has_layer("orphan"));
        assert_eq!(store.collect(later, false).unwrap(), nothing);
    }
}
