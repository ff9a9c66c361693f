//! The entries of a version.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use vm0_model::limits;
use vm0_model::path::{validate_file_path, validate_link_target};
use vm0_model::storage::{EntryKind, VersionEntry, version_id};
use vm0_model::{ContentHash, PackId, StorageId, VersionId};

use super::error::ManifestError;
use crate::pack;

/// Every entry of one version, in the order of their paths' bytes.
///
/// A value of this type keeps the rules of API 8.4 for paths and targets, and the chunks of every
/// file add up to its size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// The packs that hold the contents of a version, and where the last of them ends in each.
pub(crate) type PackEnds = BTreeMap<PackId, u64>;

/// A file or symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root of the version.
    pub path: String,
    /// What is there.
    pub content: Content,
}

/// What an entry is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    File(FileContent),
    /// A symbolic link, whose target is data and never followed.
    Symlink {
        /// The target.
        target: String,
    },
}

/// The bytes of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The owner's execute bit.
    pub executable: bool,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub hash: ContentHash,
    /// Where the bytes are, in order; none for an empty file.
    pub chunks: Vec<Chunk>,
}

/// A piece of a file: one zstd frame of a pack. Chunks are ordered by pack and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk {
    /// The pack.
    pub pack: PackId,
    /// First byte of the frame in the pack.
    pub offset: u64,
    /// Bytes of the frame.
    pub stored_len: u32,
    /// Bytes of the piece itself.
    pub len: u32,
    /// SHA-256 of the piece itself.
    pub hash: ContentHash,
}

impl Entry {
    /// The kind of the entry, as far as the identity of versions goes.
    pub fn kind(&self) -> EntryKind {
        match &self.content {
            Content::File(file) if file.executable => EntryKind::Executable,
            Content::File(_) => EntryKind::Plain,
            Content::Symlink { .. } => EntryKind::Symlink,
        }
    }

    /// SHA-256 of the content, for a symlink of its target.
    pub fn hash(&self) -> ContentHash {
        match &self.content {
            Content::File(file) => file.hash,
            Content::Symlink { target } => {
                ContentHash::from_digest(Sha256::digest(target.as_bytes()).into())
            }
        }
    }
}

impl Manifest {
    /// The manifest of `entries`, in whatever order.
    ///
    /// # Errors
    ///
    /// When an entry breaks a rule of API 8.4 or its chunks do not make up its content.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Self::from_sorted(entries)
    }

    /// The manifest of `entries` that are in order already.
    pub(super) fn from_sorted(entries: Vec<Entry>) -> Result<Self, ManifestError> {
        check_count("entries", entries.len(), limits::VERSION_MAX_ENTRIES)?;
        for (index, entry) in entries.iter().enumerate() {
            check_entry(entry)?;
            if index > 0 && entries[index - 1].path >= entry.path {
                return Err(ManifestError::Order {
                    path: entry.path.clone(),
                });
            }
        }
        check_nesting(&entries)?;
        Ok(Self { entries })
    }

    /// The entries in the order of their paths' bytes.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, without the manifest.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// The entry at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let index = self
            .entries
            .binary_search_by(|entry| entry.path.as_str().cmp(path))
            .ok()?;
        self.entries.get(index)
    }

    /// Bytes of the regular files.
    pub fn size(&self) -> u64 {
        let files = self
            .entries
            .iter()
            .filter_map(|entry| match &entry.content {
                Content::File(file) => Some(file.size),
                Content::Symlink { .. } => None,
            });
        files.fold(0, u64::saturating_add)
    }

    /// Number of files and symlinks.
    pub fn file_count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The id of this version within `storage` (API 9.1).
    pub fn version_id(&self, storage: StorageId) -> VersionId {
        let hashes: Vec<String> = self
            .entries
            .iter()
            .map(|entry| entry.hash().to_string())
            .collect();
        let entries = self
            .entries
            .iter()
            .zip(&hashes)
            .map(|(entry, hash)| VersionEntry {
                path: &entry.path,
                hash,
                kind: entry.kind(),
            });
        version_id(storage, entries)
    }

    /// Every chunk, in the order of the entries.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.entries.iter().flat_map(|entry| match &entry.content {
            Content::File(file) => file.chunks.as_slice(),
            Content::Symlink { .. } => &[],
        })
    }

    /// The packs that hold the contents, and how much of each is needed.
    pub(crate) fn pack_ends(&self) -> PackEnds {
        let mut ends = PackEnds::new();
        for chunk in self.chunks() {
            let end = ends.entry(chunk.pack).or_default();
            *end = (*end).max(chunk.offset + u64::from(chunk.stored_len));
        }
        ends
    }

    /// The packs that hold the contents.
    pub fn packs(&self) -> BTreeSet<PackId> {
        self.chunks().map(|chunk| chunk.pack).collect()
    }
}

pub(super) fn check_count(
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), ManifestError> {
    if count > limit {
        return Err(ManifestError::TooLarge {
            what,
            limit: limit as u64,
        });
    }
    Ok(())
}

fn check_entry(entry: &Entry) -> Result<(), ManifestError> {
    let path = &entry.path;
    if validate_file_path(path).is_err() {
        return Err(ManifestError::Path { path: path.clone() });
    }
    match &entry.content {
        Content::Symlink { target } if validate_link_target(target).is_err() => {
            Err(ManifestError::Target { path: path.clone() })
        }
        Content::File(file) if !chunks_fit(file) => {
            Err(ManifestError::Chunks { path: path.clone() })
        }
        Content::Symlink { .. } | Content::File(_) => Ok(()),
    }
}

fn chunks_fit(file: &FileContent) -> bool {
    let total: u64 = file.chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
    let hash_fits = match file.chunks.as_slice() {
        [] => *file.hash.digest() == <[u8; 32]>::from(Sha256::digest([])),
        [chunk] => chunk.hash == file.hash,
        _ => true,
    };
    total == file.size && hash_fits && file.chunks.iter().all(pack::chunk_is_plausible)
}

/// No entry may lie below another. Entries are sorted, but `a-b` sorts between `a` and `a/b`.
fn check_nesting(entries: &[Entry]) -> Result<(), ManifestError> {
    let mut checked = "";
    for entry in entries {
        let path = entry.path.as_str();
        let parent = path.rfind('/').map_or("", |end| &path[..end]);
        if parent == checked {
            continue;
        }
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
        for ancestor in ancestors {
            if entries
                .binary_search_by(|other| other.path.as_str().cmp(ancestor))
                .is_ok()
            {
                return Err(ManifestError::Below {
                    path: path.to_owned(),
                });
            }
        }
        checked = parent;
    }
    Ok(())
}
