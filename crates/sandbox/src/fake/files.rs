//! The files of a simulated sandbox: plain directories, with lower and upper as in an overlay.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::contract::MountSpec;
use crate::ids;

const PLATFORM: &str = "/vm0";

/// Everything that programs of one sandbox see.
#[derive(Debug)]
pub(super) struct GuestTree {
    places: Vec<Place>,
    written: AtomicU64,
    disk_bytes: u64,
}

#[derive(Debug)]
struct Place {
    target: String,
    lower: Option<PathBuf>,
    upper: PathBuf,
}

/// The upper directory of the mount of an index.
pub(super) fn upper(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("mount-{index}"))
}

impl GuestTree {
    /// Makes the directories below `dir`.
    pub(super) fn make(dir: &Path, mounts: &[MountSpec], disk_bytes: u64) -> io::Result<Self> {
        let root = Place {
            target: String::new(),
            lower: None,
            upper: dir.join("root"),
        };
        let mut places = vec![root];
        places.extend(mounts.iter().enumerate().map(|(index, mount)| Place {
            target: mount.target.clone(),
            lower: mount.lower.clone(),
            upper: upper(dir, index),
        }));
        for place in &places {
            fs::create_dir(&place.upper)?;
            // Without the right to give files away they stay ours.
            let _ = chown(&place.upper, Some(ids::USER), Some(ids::USER));
        }
        for name in ["home/user", "tmp", "var/tmp", "vm0"] {
            fs::create_dir_all(places[0].upper.join(name))?;
        }
        Ok(Self {
            places,
            written: AtomicU64::new(0),
            disk_bytes,
        })
    }

    /// Bytes that programs have written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The content of a regular file.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let (place, relative) = self.place(path)?;
        match entry(&place.upper, relative)? {
            Some(Entry::File(path)) => fs::read(path),
            Some(Entry::Whiteout) => Err(ErrorKind::NotFound.into()),
            Some(Entry::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => match place
                .lower
                .as_deref()
                .map(|lower| entry(lower, relative))
                .transpose()?
            {
                Some(Some(Entry::File(path))) => fs::read(path),
                Some(Some(Entry::Directory)) => Err(ErrorKind::IsADirectory.into()),
                _ => Err(ErrorKind::NotFound.into()),
            },
        }
    }

    /// Writes a file as a program would: not what belongs to the platform.
    pub(super) fn write(&self, path: &str, bytes: &[u8], append: bool) -> io::Result<()> {
        if Path::new(path).starts_with(PLATFORM) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let mut content = if append {
            self.read(path).unwrap_or_default()
        } else {
            Vec::new()
        };
        content.extend_from_slice(bytes);
        let before = self
            .written
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before + bytes.len() as u64 > self.disk_bytes {
            self.written
                .fetch_sub(bytes.len() as u64, Ordering::Relaxed);
            return Err(ErrorKind::StorageFull.into());
        }
        self.write_platform(path, &content)
    }

    /// Writes a file wherever it is.
    pub(super) fn write_platform(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (place, relative) = self.place(path)?;
        let target = place.upper.join(relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if matches!(entry(&place.upper, relative)?, Some(Entry::Whiteout)) {
            fs::remove_file(&target)?;
        }
        fs::write(&target, bytes)?;
        let _ = chown(&target, Some(ids::USER), Some(ids::USER));
        Ok(())
    }

    /// Removes a regular file, leaving a whiteout where a lower one would appear.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        self.read(path)?;
        let (place, relative) = self.place(path)?;
        let target = place.upper.join(relative);
        let below = place
            .lower
            .as_ref()
            .is_some_and(|lower| lower.join(relative).exists());
        match fs::remove_file(&target) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if below {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            mknodat(CWD, &target, FileType::CharacterDevice, Mode::empty(), 0)?;
        }
        Ok(())
    }

    /// Makes a directory and those above it.
    pub(super) fn make_directory(&self, path: &str) -> io::Result<()> {
        let (place, relative) = self.place(path)?;
        fs::create_dir_all(place.upper.join(relative))
    }

    /// The regular files below a directory, by relative path.
    pub(super) fn list(&self, base: &str) -> io::Result<Vec<String>> {
        let mut found = BTreeMap::new();
        for place in &self.places {
            for tree in place.lower.iter().chain([&place.upper]) {
                let prefix = Path::new("/").join(place.target.trim_start_matches('/'));
                walk(tree, &prefix, &mut found)?;
            }
        }
        let below = found
            .into_iter()
            .filter(|(_, present)| *present)
            .filter_map(|(path, _)| Some(path.strip_prefix(base).ok()?.to_str()?.to_owned()));
        Ok(below.collect())
    }

    /// The place in which a path lies, and where: the longest mount that contains it.
    fn place<'a>(&self, path: &'a str) -> io::Result<(&Place, &'a str)> {
        let relative = path.strip_prefix('/').ok_or(ErrorKind::InvalidInput)?;
        if !vm0_guest::files::is_normal_path(relative) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let below = |place: &Place| {
            let rest = path.strip_prefix(place.target.as_str())?;
            rest.strip_prefix('/')
        };
        let best = self
            .places
            .iter()
            .filter(|place| below(place).is_some())
            .max_by_key(|place| place.target.len())
            .ok_or(ErrorKind::IsADirectory)?;
        Ok((best, below(best).unwrap_or_default()))
    }
}

enum Entry {
    File(PathBuf),
    Directory,
    Whiteout,
}

/// What is at a path of a tree; links are not followed and count as absent.
fn entry(tree: &Path, relative: &str) -> io::Result<Option<Entry>> {
    let path = tree.join(relative);
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    Ok(if kind.is_char_device() && metadata.rdev() == 0 {
        Some(Entry::Whiteout)
    } else if kind.is_file() {
        Some(Entry::File(path))
    } else if kind.is_dir() {
        Some(Entry::Directory)
    } else {
        None
    })
}

fn walk(tree: &Path, prefix: &Path, found: &mut BTreeMap<PathBuf, bool>) -> io::Result<()> {
    for item in fs::read_dir(tree)? {
        let item = item?;
        let (kind, path) = (item.file_type()?, prefix.join(item.file_name()));
        if kind.is_dir() {
            walk(&item.path(), &path, found)?;
        } else if kind.is_file() {
            found.insert(path, true);
        } else if kind.is_char_device() {
            found.insert(path, false);
        }
    }
    Ok(())
}
