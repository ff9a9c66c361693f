//! What an upload in parts has to bring.

use std::collections::HashMap;
use std::ops::Range;

use sha2::{Digest, Sha256};
use vm0_model::wire::storages::DeclaredFile;
use vm0_model::{ContentHash, limits};

use crate::manifest::{Chunk, Content, Manifest};

/// A declaration that no upload in parts can have; the text fits after the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PlanFault {
    /// Which declared file.
    pub index: usize,
    /// Which field of it.
    pub field: &'static str,
    why: &'static str,
}

/// What an upload in parts has to bring, and what the version consists of.
#[derive(Debug)]
pub struct PartPlan {
    pub(super) files: Vec<PlannedFile>,
    pub(super) missing: Vec<Wanted>,
    pub(super) parts: Vec<Range<usize>>,
    pub(super) known: HashMap<ContentHash, Chunk>,
}

/// A chunk of a declared file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) hash: ContentHash,
    pub(crate) len: u32,
    /// Whether it is read once more with the file that it belongs to, and verified there.
    pub(crate) with_file: bool,
}

/// A declared entry.
#[derive(Debug)]
pub(super) struct PlannedFile {
    pub(super) path: String,
    pub(super) content: PlannedContent,
}

#[derive(Debug)]
pub(super) enum PlannedContent {
    File {
        executable: bool,
        size: u64,
        hash: ContentHash,
        chunks: Vec<ContentHash>,
        /// Whether the base has a file of these chunks and this hash, or there is but one chunk.
        proven: bool,
    },
    Symlink {
        target: String,
    },
}

/// A chunk as it was declared.
type Declared = (ContentHash, u32);

impl PartPlan {
    /// The plan for `declared`, which has passed the checks of API 8.4, on top of `base`.
    ///
    /// # Errors
    ///
    /// When a field is missing that an upload in parts needs, or chunks do not make up their file.
    pub fn new(declared: &[DeclaredFile], base: Option<&Manifest>) -> Result<Self, PlanFault> {
        let mut plan = Self {
            files: Vec::with_capacity(declared.len()),
            missing: Vec::new(),
            parts: Vec::new(),
            known: base
                .into_iter()
                .flat_map(Manifest::chunks)
                .map(|chunk| (chunk.hash, *chunk))
                .collect(),
        };
        let composed = composed_files(base);
        let mut seen = HashMap::new();
        for (index, file) in declared.iter().enumerate() {
            let fault = |(field, why)| PlanFault { index, field, why };
            let content = match &file.link_target {
                Some(target) => PlannedContent::Symlink {
                    target: target.clone(),
                },
                None => plan.file(file, &composed, &mut seen).map_err(fault)?,
            };
            let path = file.path.clone();
            plan.files.push(PlannedFile { path, content });
        }
        plan.parts = cut(&plan.missing);
        Ok(plan)
    }

    /// The chunks of each part, in order.
    pub fn parts(&self) -> impl Iterator<Item = Vec<ContentHash>> + '_ {
        let hashes = |range: &Range<usize>| {
            let wanted = self.missing[range.clone()].iter();
            wanted.map(|wanted| wanted.hash).collect()
        };
        self.parts.iter().map(hashes)
    }

    fn file(
        &mut self,
        file: &DeclaredFile,
        composed: &HashMap<ContentHash, Vec<&[Chunk]>>,
        seen: &mut HashMap<ContentHash, (u32, usize)>,
    ) -> Result<PlannedContent, (&'static str, &'static str)> {
        let hash = file.hash.as_deref().filter(|hash| !hash.is_empty());
        let hash = hash.ok_or(("hash", "is required with parts"))?;
        let hash = hash.parse().map_err(|_| ("hash", "must be a SHA-256"))?;
        let executable = file.executable;
        let executable = executable.ok_or(("executable", "is required with parts"))?;
        let bases = composed.get(&hash).into_iter().flatten();
        let held = || self.held(file, hash, bases.clone());
        let chunks = match file.chunks.is_none().then(held).flatten() {
            Some(chunks) => chunks,
            None => declared_chunks(file, hash)?,
        };
        let proven = chunks.len() < 2 || bases.copied().any(|base| same(base, &chunks));
        for &(hash, len) in &chunks {
            self.want(hash, len, !proven, seen)?;
        }
        Ok(PlannedContent::File {
            executable,
            size: file.size,
            hash,
            chunks: chunks.into_iter().map(|(hash, _)| hash).collect(),
            proven,
        })
    }

    /// The chunks of a big file that the base has as a whole.
    fn held<'a>(
        &self,
        file: &DeclaredFile,
        hash: ContentHash,
        mut bases: impl Iterator<Item = &'a &'a [Chunk]>,
    ) -> Option<Vec<Declared>> {
        if file.size < limits::CHUNKING_MIN_BYTES {
            return None;
        }
        let size = |chunks: &[Chunk]| chunks.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>();
        if let Some(base) = bases.find(|base| size(base) == file.size) {
            return Some(base.iter().map(|chunk| (chunk.hash, chunk.len)).collect());
        }
        let whole = self.known.get(&hash)?;
        (u64::from(whole.len) == file.size).then(|| vec![(hash, whole.len)])
    }

    /// Notes a chunk that the version has.
    fn want(
        &mut self,
        hash: ContentHash,
        len: u32,
        with_file: bool,
        seen: &mut HashMap<ContentHash, (u32, usize)>,
    ) -> Result<(), (&'static str, &'static str)> {
        let known = self.known.get(&hash).map(|chunk| chunk.len);
        let place = self.missing.len();
        let (first_len, first) = *seen.entry(hash).or_insert((known.unwrap_or(len), place));
        if first_len != len {
            return Err(("chunks", "must not give one content two sizes"));
        }
        if known.is_some() {
            return Ok(());
        }
        if first == place {
            self.missing.push(Wanted {
                hash,
                len,
                with_file,
            });
        } else {
            self.missing[first].with_file |= with_file;
        }
        Ok(())
    }
}

/// Files of several chunks, by hash.
fn composed_files(base: Option<&Manifest>) -> HashMap<ContentHash, Vec<&[Chunk]>> {
    let mut composed: HashMap<ContentHash, Vec<&[Chunk]>> = HashMap::new();
    for entry in base.into_iter().flat_map(Manifest::entries) {
        if let Content::File(file) = &entry.content
            && file.chunks.len() > 1
        {
            composed.entry(file.hash).or_default().push(&file.chunks);
        }
    }
    composed
}

fn same(base: &[Chunk], declared: &[Declared]) -> bool {
    base.len() == declared.len()
        && base
            .iter()
            .zip(declared)
            .all(|(chunk, &(hash, len))| chunk.hash == hash && chunk.len == len)
}

/// The chunks of a file, as declared or because it is small.
fn declared_chunks(
    file: &DeclaredFile,
    hash: ContentHash,
) -> Result<Vec<Declared>, (&'static str, &'static str)> {
    let small = file.size < limits::CHUNKING_MIN_BYTES;
    let chunks: Vec<Declared> = match &file.chunks {
        Some(chunks) => chunks
            .iter()
            .map(|chunk| (chunk.hash, chunk.size))
            .collect(),
        None if file.size == 0 => Vec::new(),
        None if small => vec![(hash, u32::try_from(file.size).expect("it is small"))],
        None => {
            return Err((
                "chunks",
                "are required of a file of at least 4 MiB that the storage does not hold",
            ));
        }
    };
    let sizes_fit = |(place, &(_, len)): (usize, &Declared)| {
        let is_last = place + 1 == chunks.len();
        let len = u64::from(len);
        (1..=limits::CHUNKING_MIN_BYTES).contains(&len)
            && (is_last || len >= limits::CHUNK_MIN_BYTES)
    };
    if !chunks.iter().enumerate().all(sizes_fit) {
        let why = "must have 256 KiB to 4 MiB each, the last at least 1 byte";
        return Err(("chunks", why));
    }
    let total: u64 = chunks.iter().map(|&(_, len)| u64::from(len)).sum();
    if total != file.size {
        return Err(("chunks", "must add up to size"));
    }
    match chunks.as_slice() {
        [] if *hash.digest() != <[u8; 32]>::from(Sha256::digest([])) => {
            Err(("hash", "must be the SHA-256 of nothing for an empty file"))
        }
        [(only, _)] if *only != hash => {
            Err(("chunks", "must have the hash of the file if it is one"))
        }
        _ => Ok(chunks),
    }
}

/// Cuts what is missing into parts.
fn cut(missing: &[Wanted]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (place, wanted) in missing.iter().enumerate() {
        let len = u64::from(wanted.len);
        match parts.last_mut() {
            Some(part)
                if part.len() < limits::UPLOAD_PART_MAX_CHUNKS
                    && bytes + len <= limits::UPLOAD_PART_CONTENT_BYTES =>
            {
                part.end = place + 1;
                bytes += len;
            }
            _ => {
                parts.push(place..place + 1);
                bytes = len;
            }
        }
    }
    parts
}
