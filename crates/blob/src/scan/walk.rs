//! Walking the upper directory.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, Stat};
use rustix::io::Errno;
use vm0_model::limits;
use vm0_model::path::{validate_file_path, validate_link_target};

use super::beneath::{Beneath, FileKind, stat_at};
use super::marks::directory_marks;
use super::merge::ChangedContent;
use crate::manifest::Manifest;

/// The directory of a workspace that no version holds.
const PRIVATE_DIR: &str = ".vm0";
/// Names that are looked at, for each entry that a version may have.
const NAMES_PER_ENTRY: usize = 4;
/// Warnings that are kept; later ones are counted only.
const WARNINGS_MAX: usize = 100;

/// What a version may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Bytes of its regular files.
    pub max_bytes: u64,
    /// Files and symlinks.
    pub max_entries: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            max_bytes: limits::VERSION_MAX_BYTES,
            max_entries: limits::VERSION_MAX_ENTRIES,
        }
    }
}

/// Something that the sandbox wrote and no version can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("left out {path:?}: {reason}")]
pub struct ScanWarning {
    /// Where it is; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Why.
    pub reason: LeftOut,
}

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// A socket, pipe or device.
    #[error("it is a socket, pipe or device")]
    Special,
    /// Its name is not UTF-8.
    #[error("its name is not UTF-8")]
    Name,
    /// Its path breaks a rule for paths.
    #[error("its path is too long or breaks a rule")]
    Path,
    /// A symlink whose target is not UTF-8 or too long.
    #[error("its target is too long or not UTF-8")]
    Target,
    /// A directory of another file system.
    #[error("it is another mount")]
    OtherMount,
    /// It was removed or replaced while it was read.
    #[error("it changed while it was read")]
    Changed,
}

/// Why a workspace cannot become a version.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Its files are larger than a version may be.
    #[error("accept a workspace of more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// It has more files than a version may have.
    #[error("accept a workspace of more than {limit} files")]
    TooManyEntries {
        /// Files and symlinks allowed.
        limit: usize,
    },
    /// The overlay was mounted with options under which its upper directory is not the difference.
    #[error("read {path:?}, whose data the overlay keeps elsewhere")]
    Elsewhere {
        /// The directory or file.
        path: String,
    },
    /// A directory or file could not be read.
    #[error("read {path:?} in the workspace")]
    Read {
        /// The directory or file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The pack could not be written.
    #[error("write the pack of the workspace")]
    Write(#[source] io::Error),
    /// The entries do not make a manifest.
    #[error("make the manifest of the workspace")]
    Manifest(#[from] crate::manifest::ManifestError),
}

/// What the upper directory says.
#[derive(Debug, Default)]
pub(super) struct Upper {
    /// Files and symlinks.
    pub(super) items: BTreeMap<String, ChangedContent>,
    /// At and below these paths nothing of the base shows.
    pub(super) covered: HashSet<String>,
    pub(super) warnings: Warnings,
}

/// A bounded list of warnings.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    pub(crate) kept: Vec<ScanWarning>,
    pub(crate) dropped: u64,
}

impl Warnings {
    pub(crate) fn push(&mut self, path: impl Into<String>, reason: LeftOut) {
        if self.kept.len() < WARNINGS_MAX {
            self.kept.push(ScanWarning {
                path: path.into(),
                reason,
            });
        } else {
            self.dropped += 1;
        }
    }
}

/// Whether an error on opening means that the sandbox changed what was there.
pub(crate) fn left_out(error: &io::Error) -> Option<LeftOut> {
    if error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none() {
        return Some(LeftOut::Changed);
    }
    match Errno::from_io_error(error)? {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO => Some(LeftOut::Changed),
        Errno::XDEV => Some(LeftOut::OtherMount),
        Errno::NAMETOOLONG => Some(LeftOut::Path),
        _ => None,
    }
}

/// Reads the whole upper directory without opening files.
pub(super) fn walk(
    root: &Beneath,
    base: Option<&Manifest>,
    limits: ScanLimits,
) -> Result<Upper, ScanError> {
    let mut walker = Walker {
        base,
        limits,
        upper: Upper::default(),
        bytes: 0,
        names: 0,
        pending: vec![String::new()],
    };
    while let Some(path) = walker.pending.pop() {
        let result = root
            .directory(&path)
            .and_then(|dir| Ok((Dir::read_from(&dir)?, dir)));
        match result {
            Ok((listing, dir)) => walker.directory(&path, listing, &dir)?,
            Err(source) => match left_out(&source).filter(|_| !path.is_empty()) {
                Some(reason) => walker.upper.warnings.push(path, reason),
                None => return Err(ScanError::Read { path, source }),
            },
        }
    }
    Ok(walker.upper)
}

struct Walker<'a> {
    base: Option<&'a Manifest>,
    limits: ScanLimits,
    upper: Upper,
    bytes: u64,
    names: usize,
    pending: Vec<String>,
}

impl Walker<'_> {
    fn directory(&mut self, path: &str, listing: Dir, dir: &OwnedFd) -> Result<(), ScanError> {
        let failed = |source| ScanError::Read {
            path: path.to_owned(),
            source,
        };
        let marks = directory_marks(dir).map_err(failed)?;
        if marks.elsewhere {
            return Err(ScanError::Elsewhere {
                path: path.to_owned(),
            });
        }
        if marks.opaque || self.base.is_some_and(|base| base.get(path).is_some()) {
            self.upper.covered.insert(path.to_owned());
        }
        for entry in listing {
            let entry = entry.map_err(|error| failed(error.into()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.names += 1;
            if self.names > self.limits.max_entries.saturating_mul(NAMES_PER_ENTRY) {
                return Err(ScanError::TooManyEntries {
                    limit: self.limits.max_entries,
                });
            }
            self.name(path, name, dir)?;
        }
        Ok(())
    }

    fn name(&mut self, parent: &str, name: &CStr, dir: &OwnedFd) -> Result<(), ScanError> {
        let join = |name: &str| {
            if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            }
        };
        let Ok(text) = name.to_str() else {
            self.upper
                .warnings
                .push(join(&name.to_string_lossy()), LeftOut::Name);
            return Ok(());
        };
        let path = join(text);
        if path == PRIVATE_DIR {
            return Ok(());
        }
        if validate_file_path(&path).is_err() {
            self.upper.warnings.push(path, LeftOut::Path);
            return Ok(());
        }
        match stat_at(dir, name) {
            Ok(stat) => self.item(path, name, dir, &stat),
            Err(source) => match left_out(&source) {
                Some(reason) => {
                    self.upper.warnings.push(path, reason);
                    Ok(())
                }
                None => Err(ScanError::Read { path, source }),
            },
        }
    }

    fn item(
        &mut self,
        path: String,
        name: &CStr,
        dir: &OwnedFd,
        stat: &Stat,
    ) -> Result<(), ScanError> {
        let content = match FileKind::of(stat) {
            FileKind::Directory => {
                self.pending.push(path);
                return Ok(());
            }
            FileKind::Whiteout => None,
            FileKind::Other => {
                self.upper.warnings.push(path.clone(), LeftOut::Special);
                None
            }
            FileKind::Symlink => {
                let target = read_target(dir, name);
                if target.is_none() {
                    self.upper.warnings.push(path.clone(), LeftOut::Target);
                }
                target.map(|target| ChangedContent::Symlink { target })
            }
            FileKind::File => {
                let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
                self.bytes = self.bytes.saturating_add(size);
                if self.bytes > self.limits.max_bytes {
                    return Err(ScanError::TooLarge {
                        limit: self.limits.max_bytes,
                    });
                }
                Some(ChangedContent::File {
                    executable: stat.st_mode & 0o100 != 0,
                    size,
                })
            }
        };
        self.upper.covered.insert(path.clone());
        if let Some(content) = content {
            self.upper.items.insert(path, content);
            if self.upper.items.len() > self.limits.max_entries {
                return Err(ScanError::TooManyEntries {
                    limit: self.limits.max_entries,
                });
            }
        }
        Ok(())
    }
}

/// The target of a symlink, if a version can hold it.
fn read_target(dir: impl AsFd, name: &CStr) -> Option<String> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new()).ok()?;
    target
        .into_string()
        .ok()
        .filter(|target| validate_link_target(target).is_ok())
}

/// Opens the upper directory.
pub(super) fn open_root(upper: &Path) -> Result<Beneath, ScanError> {
    let path = || upper.to_string_lossy().into_owned();
    Beneath::open(upper).map_err(|source| ScanError::Read {
        path: path(),
        source,
    })
}
