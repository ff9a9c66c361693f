//! A directory as parts of chunks, checked against what was declared while they are made.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use vm0_blob::{PartBuilder, chunk_content};
use vm0_model::id::ContentHash;
use vm0_model::limits;
use vm0_model::wire::storages::{DeclaredChunk, DeclaredFile};

use super::archive::ArchiveError;
use super::parallel::in_parallel;
use super::tree::{LocalKind, Tree};

/// The files of a directory and where each chunk of them is.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// The entries as an upload in parts declares them.
    pub(crate) declared: Vec<DeclaredFile>,
    places: HashMap<ContentHash, Place>,
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    len: u32,
}

impl Chunked {
    /// The files of `tree`, none of them cut: what a server can take that holds the big ones.
    pub(crate) fn uncut(tree: &Tree) -> Self {
        let declared = tree.declare(true);
        let places = places(tree, &declared);
        Self { declared, places }
    }
}

/// Cuts the big files of `tree`, which were found in `root`.
pub(crate) fn chunk_files(root: &Path, tree: &Tree) -> Result<Chunked, ArchiveError> {
    let mut declared = tree.declare(true);
    let is_big = |file: &DeclaredFile| file.size >= limits::CHUNKING_MIN_BYTES;
    let big: Vec<usize> = (0..declared.len())
        .filter(|&at| is_big(&declared[at]))
        .collect();
    let cut = in_parallel(big.len(), |number| {
        let file = &tree.files[big[number]];
        let opened = open(root, &file.path)?;
        let content = chunk_content(opened).map_err(|source| ArchiveError::Read {
            path: root.join(&file.path),
            source,
        })?;
        if content.hash.to_string() != file.hash {
            return Err(ArchiveError::Changed(file.path.clone()));
        }
        Ok(content.chunks)
    })?;
    for (at, chunks) in big.into_iter().zip(cut) {
        declared[at].chunks = Some(chunks);
    }
    let places = places(tree, &declared);
    Ok(Chunked { declared, places })
}

fn places(tree: &Tree, declared: &[DeclaredFile]) -> HashMap<ContentHash, Place> {
    let mut places = HashMap::new();
    for (at, (file, declared)) in tree.files.iter().zip(declared).enumerate() {
        if matches!(file.kind, LocalKind::Symlink(_)) {
            continue;
        }
        let whole = || {
            let size = u32::try_from(file.size).ok().filter(|size| *size > 0)?;
            let hash = file.hash.parse().ok()?;
            Some(DeclaredChunk { hash, size })
        };
        let chunks = match &declared.chunks {
            Some(chunks) => chunks.clone(),
            None => whole().into_iter().collect(),
        };
        let mut offset = 0;
        for DeclaredChunk { hash, size } in chunks {
            let place = Place {
                file: at,
                offset,
                len: size,
            };
            places.entry(hash).or_insert(place);
            offset += u64::from(size);
        }
    }
    places
}

impl Chunked {
    /// Bytes of these chunks; none if the directory has one of them not.
    pub(crate) fn bytes_of(&self, chunks: &[ContentHash]) -> Option<u64> {
        let bytes = |hash| self.places.get(hash).map(|place| u64::from(place.len));
        chunks.iter().map(bytes).sum()
    }

    /// The part that holds these chunks, which the directory has. Calls `progress` with the bytes
    /// of each.
    pub(crate) fn part(
        &self,
        root: &Path,
        tree: &Tree,
        chunks: &[ContentHash],
        mut progress: impl FnMut(u64),
    ) -> Result<Vec<u8>, ArchiveError> {
        let write = |source| ArchiveError::Write { source };
        let mut part = PartBuilder::new().map_err(write)?;
        let mut opened: Option<(usize, File)> = None;
        let mut bytes = Vec::new();
        for hash in chunks {
            let Some(place) = self.places.get(hash) else {
                return Err(write(io::ErrorKind::NotFound.into()));
            };
            let path = &tree.files[place.file].path;
            let file = match opened.take().filter(|(at, _)| *at == place.file) {
                Some((_, file)) => file,
                None => open(root, path)?,
            };
            bytes.resize(place.len as usize, 0);
            let read = file.read_exact_at(&mut bytes, place.offset);
            let is_cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
            match read {
                Err(source) if !is_cut(&source) => {
                    let path = root.join(path);
                    return Err(ArchiveError::Read { path, source });
                }
                Ok(()) if Sha256::digest(&bytes)[..] == hash.digest()[..] => {}
                _ => return Err(ArchiveError::Changed(path.clone())),
            }
            part.push(&bytes).map_err(write)?;
            progress(u64::from(place.len));
            opened = Some((place.file, file));
        }
        Ok(part.finish())
    }
}

fn open(root: &Path, path: &str) -> Result<File, ArchiveError> {
    let full = root.join(path);
    File::open(&full).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ArchiveError::Changed(path.to_owned()),
        _ => ArchiveError::Read { path: full, source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tree::scan;
    use super::*;

    fn part(root: &Path, tree: &Tree, chunked: &Chunked) -> Result<Vec<u8>, ArchiveError> {
        let chunks: Vec<_> = chunked.places.keys().copied().collect();
        chunked.part(root, tree, &chunks, |_| {})
    }

    #[test]
    fn a_file_that_changes_during_the_push_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for changed in ["jello", "hell", ""] {
            fs::write(dir.path().join("a"), "hello").unwrap();
            let tree = scan(dir.path()).unwrap();
            let chunked = chunk_files(dir.path(), &tree).unwrap();
            part(dir.path(), &tree, &chunked).unwrap();
            assert_eq!(tree.changed_since(dir.path()), None);
            fs::write(dir.path().join("a"), changed).unwrap();
            let error = part(dir.path(), &tree, &chunked).unwrap_err();
            assert_eq!(
                error.to_string(),
                "a changed during the push",
                "{changed:?}"
            );
            assert_eq!(tree.changed_since(dir.path()), Some("a"));
        }
        fs::remove_file(dir.path().join("a")).unwrap();
        let tree = scan(dir.path()).unwrap();
        assert_eq!(tree.changed_since(dir.path()), None);
    }

    #[test]
    fn big_files_are_declared_in_chunks_and_links_need_none() {
        let dir = tempfile::tempdir().unwrap();
        let big: Vec<u8> = (0..6_u32 << 20)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        fs::write(dir.path().join("big"), &big).unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        fs::write(dir.path().join("small"), "hello").unwrap();
        std::os::unix::fs::symlink("small", dir.path().join("to")).unwrap();
        let tree = scan(dir.path()).unwrap();
        let chunked = chunk_files(dir.path(), &tree).unwrap();
        let declared = &chunked.declared;
        let chunks = declared[0].chunks.as_ref().unwrap();
        let sizes: u64 = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        assert_eq!(sizes, big.len() as u64);
        assert!(declared[1..].iter().all(|file| file.chunks.is_none()));
        assert_eq!(chunked.places.len(), chunks.len() + 1);
        let hashes: Vec<_> = chunks.iter().map(|chunk| chunk.hash).collect();
        assert_eq!(chunked.bytes_of(&hashes), Some(big.len() as u64));
        let absent = ContentHash::from_digest([0; 32]);
        assert_eq!(chunked.bytes_of(&[absent]), None);
        assert!(chunked.part(dir.path(), &tree, &[absent], |_| {}).is_err());
        fs::write(dir.path().join("big"), vec![1; big.len()]).unwrap();
        let error = chunk_files(dir.path(), &tree).unwrap_err();
        assert_eq!(error.to_string(), "big changed during the push");
    }
}
