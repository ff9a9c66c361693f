//! The entries of the changed workspace: those of the base that still show, and the new ones.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use vm0_model::ContentHash;

use super::beneath::Beneath;
use super::marks::file_marks;
use super::walk::{ScanError, ScanLimits, ScanWarning, Upper, Warnings, left_out, open_root, walk};
use crate::manifest::{Content, Entry, Manifest};

const READ_BYTES: usize = 256 << 10;
const PRIVATE_PREFIX: &str = ".vm0/";

/// A changed workspace: what stays of its base, and what is new and not yet stored.
#[derive(Debug)]
pub struct Changes {
    pub(crate) root: Beneath,
    pub(crate) limits: ScanLimits,
    pub(crate) kept: Vec<Entry>,
    pub(crate) changed: Vec<Change>,
    pub(crate) warnings: Warnings,
    deleted: usize,
}

/// An entry that the base does not have so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) content: ChangedContent,
}

/// What a changed entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangedContent {
    File { executable: bool, size: u64 },
    Symlink { target: String },
}

impl Changes {
    /// Whether the workspace holds exactly what its base does.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.deleted == 0
    }

    /// Paths of new and changed entries, in order.
    pub fn changed_paths(&self) -> impl Iterator<Item = &str> {
        self.changed.iter().map(|change| change.path.as_str())
    }

    /// Number of base entries that are gone or replaced.
    pub fn deleted_count(&self) -> usize {
        self.deleted
    }

    /// What was left out; at most 100, see [`Changes::more_warnings`].
    pub fn warnings(&self) -> &[ScanWarning] {
        &self.warnings.kept
    }

    /// Number of things left out besides those in [`Changes::warnings`].
    pub fn more_warnings(&self) -> u64 {
        self.warnings.dropped
    }
}

/// Reads the upper directory of a workspace overlay whose lower is the tree of `base`.
///
/// Blocks. The sandbox may still run: what it changes meanwhile is seen or not, and never leads
/// outside of `upper`. A top-level `.vm0` is no part of the result, neither from the directory nor
/// from the base.
///
/// # Errors
///
/// When the result would be larger than `limits`, checked before any file is read, or a directory
/// cannot be read.
pub fn scan(
    upper: &Path,
    base: Option<&Manifest>,
    limits: ScanLimits,
) -> Result<Changes, ScanError> {
    let root = open_root(upper)?;
    let Upper {
        mut items,
        covered,
        warnings,
    } = walk(&root, base, limits)?;
    let mut kept = Vec::new();
    let mut base_count = 0;
    for entry in base.into_iter().flat_map(Manifest::entries) {
        base_count += 1;
        let path = entry.path.as_str();
        if path == ".vm0" || path.starts_with(PRIVATE_PREFIX) {
            continue;
        }
        if let Some(content) = items.get(path)
            && is_unchanged(&root, entry, content)?
        {
            items.remove(path);
            kept.push(entry.clone());
        } else if !is_covered(&covered, path) {
            kept.push(entry.clone());
        }
    }
    let changed = items
        .into_iter()
        .map(|(path, content)| Change { path, content })
        .collect();
    let deleted = base_count - kept.len();
    let changes = Changes {
        root,
        limits,
        kept,
        changed,
        warnings,
        deleted,
    };
    check_limits(&changes)?;
    Ok(changes)
}

fn is_covered(covered: &HashSet<String>, path: &str) -> bool {
    if covered.is_empty() {
        return false;
    }
    let mut ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
    covered.contains(path) || covered.contains("") || ancestors.any(|dir| covered.contains(dir))
}

fn check_limits(changes: &Changes) -> Result<(), ScanError> {
    let ScanLimits {
        max_bytes,
        max_entries,
    } = changes.limits;
    let kept = changes.kept.iter().map(|entry| match &entry.content {
        Content::File(file) => file.size,
        Content::Symlink { .. } => 0,
    });
    let changed = changes.changed.iter().map(|change| match change.content {
        ChangedContent::File { size, .. } => size,
        ChangedContent::Symlink { .. } => 0,
    });
    if kept.chain(changed).fold(0, u64::saturating_add) > max_bytes {
        return Err(ScanError::TooLarge { limit: max_bytes });
    }
    if changes.kept.len() + changes.changed.len() > max_entries {
        return Err(ScanError::TooManyEntries { limit: max_entries });
    }
    Ok(())
}

/// Whether what the upper directory has at the entry's path is the entry as it was. Only a file of
/// the same size is read for it.
fn is_unchanged(
    root: &Beneath,
    entry: &Entry,
    content: &ChangedContent,
) -> Result<bool, ScanError> {
    match (&entry.content, content) {
        (Content::Symlink { target: old }, ChangedContent::Symlink { target: new }) => {
            Ok(old == new)
        }
        (Content::File(old), ChangedContent::File { executable, size })
            if old.size == *size && old.executable == *executable =>
        {
            match hash_file(root, &entry.path, *size) {
                Ok(hash) => Ok(hash == Some(old.hash)),
                Err(error) => {
                    let path = entry.path.clone();
                    Err(ScanError::Read {
                        path,
                        source: error,
                    })
                }
            }
        }
        _ => Ok(false),
    }
}

/// The hash of a file, unless it changed since it was listed.
fn hash_file(root: &Beneath, path: &str, size: u64) -> io::Result<Option<ContentHash>> {
    let (fd, _) = match root.file(path) {
        Ok(opened) => opened,
        Err(error) if left_out(&error).is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    if file_marks(&fd)?.elsewhere {
        return Ok(None);
    }
    let mut content = File::from(fd).take(size);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(Some(ContentHash::from_digest(digest.finalize().into()))),
            count => digest.update(&buffer[..count]),
        }
    }
}
