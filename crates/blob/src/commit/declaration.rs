//! What an upload must contain: the declaration, completed by `manifest.json`.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use vm0_model::wire::storages::DeclaredFile;
use vm0_model::{ContentHash, limits};

use super::error::UploadFault;

/// A declared entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) path: String,
    pub(super) content: ExpectedContent,
}

/// What a declared entry must be. What is `None` the archive decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpectedContent {
    File {
        size: u64,
        hash: Option<ContentHash>,
        executable: Option<bool>,
    },
    Symlink {
        target: String,
    },
}

/// Declared entries in the order of the declaration, and their places by path.
#[derive(Debug)]
pub(super) struct Declaration {
    pub(super) entries: Vec<Expected>,
    pub(super) index: HashMap<String, usize>,
}

/// The only part of `manifest.json` that is read.
#[derive(Deserialize)]
struct UploadedManifest {
    files: Vec<DeclaredFile>,
}

impl Declaration {
    /// Reads `declared`, which has passed the checks of API 8.4 once already.
    pub(super) fn new(declared: &[DeclaredFile]) -> Result<Self, UploadFault> {
        let mut entries = Vec::with_capacity(declared.len());
        let mut index = HashMap::with_capacity(declared.len());
        for file in declared {
            if index.insert(file.path.clone(), entries.len()).is_some() {
                return Err(invalid(file, "path"));
            }
            entries.push(expected(file)?);
        }
        Ok(Self { entries, index })
    }

    /// Compares with `manifest.json` and takes over the hashes that only it has.
    pub(super) fn complete(&mut self, manifest: impl Read) -> Result<(), UploadFault> {
        let limit = limits::MANIFEST_JSON_MAX_BYTES;
        let mut manifest = BufReader::new(manifest).take(limit + 1);
        let parsed = serde_json::from_reader(&mut manifest);
        if manifest.limit() == 0 {
            return Err(UploadFault::ManifestTooLarge { limit });
        }
        let UploadedManifest { files } = parsed.map_err(UploadFault::ManifestUnreadable)?;
        let mut listed = vec![false; self.entries.len()];
        for file in &files {
            let path = || file.path.clone();
            let Some(&place) = self.index.get(&file.path) else {
                return Err(UploadFault::ManifestUndeclared { path: path() });
            };
            if std::mem::replace(&mut listed[place], true) {
                return Err(UploadFault::ManifestRepeated { path: path() });
            }
            self.entries[place]
                .merge(file)
                .map_err(|field| UploadFault::ManifestDiffers {
                    path: path(),
                    field,
                })?;
        }
        match listed.iter().position(|listed| !listed) {
            Some(place) => Err(UploadFault::ManifestMissing {
                path: self.entries[place].path.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Bytes of all declared files.
    pub(super) fn size(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| match entry.content {
            ExpectedContent::File { size, .. } => size,
            ExpectedContent::Symlink { .. } => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }
}

impl Expected {
    /// Compares with what `manifest.json` lists; the name of the field that differs.
    fn merge(&mut self, listed: &DeclaredFile) -> Result<(), &'static str> {
        match &mut self.content {
            ExpectedContent::Symlink { target } => {
                let target_hash = || hex::encode(Sha256::digest(target.as_bytes()));
                if listed.link_target.as_ref() != Some(target) {
                    Err("link_target")
                } else if listed.size != 0 {
                    Err("size")
                } else if hash_text(listed).is_some_and(|hash| hash != target_hash()) {
                    Err("hash")
                } else {
                    Ok(())
                }
            }
            ExpectedContent::File {
                size,
                hash,
                executable,
            } => {
                if listed.link_target.is_some() {
                    return Err("link_target");
                }
                if listed.size != *size {
                    return Err("size");
                }
                if executable
                    .zip(listed.executable)
                    .is_some_and(|(ours, theirs)| ours != theirs)
                {
                    return Err("executable");
                }
                if let Some(text) = hash_text(listed) {
                    let listed: ContentHash = text.parse().map_err(|_| "hash")?;
                    if *hash.get_or_insert(listed) != listed {
                        return Err("hash");
                    }
                }
                Ok(())
            }
        }
    }
}

fn hash_text(file: &DeclaredFile) -> Option<&str> {
    file.hash.as_deref().filter(|hash| !hash.is_empty())
}

fn invalid(file: &DeclaredFile, field: &'static str) -> UploadFault {
    UploadFault::Declaration {
        path: file.path.clone(),
        field,
    }
}

fn expected(file: &DeclaredFile) -> Result<Expected, UploadFault> {
    let content = match &file.link_target {
        Some(target) => ExpectedContent::Symlink {
            target: target.clone(),
        },
        None => {
            let hash = hash_text(file).map(str::parse).transpose();
            ExpectedContent::File {
                size: file.size,
                hash: hash.map_err(|_| invalid(file, "hash"))?,
                executable: file.executable,
            }
        }
    };
    Ok(Expected {
        path: file.path.clone(),
        content,
    })
}
