//! Making the version.

use std::fs::File;
use std::io::{self, BufWriter, Read};

use futures::{StreamExt, TryStreamExt, stream};
use vm0_model::wire::storages::DeclaredFile;
use vm0_model::{ManifestId, PackId, StorageId, VersionId};

use super::declaration::{Declaration, ExpectedContent};
use super::error::{CommitError, MemberFault, UploadFault};
use super::members::{Member, MemberBody, VisitError, WalkError, for_each_member};
use crate::blobs::{Blobs, KeepGuard, ObjectReader, Staged, UploadObject};
use crate::error::BlobError;
use crate::manifest::{Content, Entry, Manifest, PackEnds};
use crate::object::{manifest_key, pack_key};
use crate::pack::{PackWriter, WrittenContent};

const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Packs of one version that are made visible at a time.
const PUBLISHED_AT_ONCE: usize = 8;

/// A version whose bytes are all durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its manifest.
    pub manifest_id: ManifestId,
    /// Its id within the storage.
    pub version_id: VersionId,
    /// Bytes of its regular files.
    pub size: u64,
    /// Its files and symlinks.
    pub file_count: u64,
}

/// A version that an upload was found to be, whose objects are not visible yet. Dropping it leaves
/// nothing.
#[derive(Debug)]
pub struct PreparedVersion {
    packs: Vec<(PackId, Staged)>,
    manifest: (ManifestId, Staged),
    ends: PackEnds,
    committed: Committed,
}

impl Blobs {
    /// Makes a version of `storage` from the two objects of `session`, which must be exactly what
    /// was `declared`. Contents that `base` has are not stored again. Nothing is stored yet, and the
    /// session's objects stay.
    ///
    /// # Errors
    ///
    /// When an object is missing or the upload is not as declared (API 8.5).
    pub async fn version_prepare(
        &self,
        storage: StorageId,
        declared: &[DeclaredFile],
        session: &str,
        base: Option<Manifest>,
    ) -> Result<PreparedVersion, CommitError> {
        let manifest = self.upload_open(session, UploadObject::Manifest).await?;
        let manifest = manifest.ok_or(CommitError::Incomplete(UploadObject::Manifest))?;
        let archive = self.upload_open(session, UploadObject::Archive).await?;
        if archive.is_none() && !declared.is_empty() {
            return Err(CommitError::Incomplete(UploadObject::Archive));
        }
        let declaration = Declaration::new(declared)?;
        let blobs = self.clone();
        let upload = Upload {
            declaration,
            manifest,
            archive,
        };
        let prepare = move || upload.prepare(&blobs, storage, base.as_ref());
        tokio::task::spawn_blocking(prepare)
            .await
            .map_err(BlobError::from)?
    }

    /// Stores the objects of a version. Returns once all is durable; a row may name the version as
    /// long as the guard is held.
    ///
    /// # Errors
    ///
    /// When the store fails, or [`BlobError::Dangling`] when the base is gone.
    pub async fn version_publish(
        &self,
        guard: &KeepGuard,
        prepared: PreparedVersion,
    ) -> Result<Committed, BlobError> {
        let packs = prepared.packs.into_iter();
        let published = packs.map(|(id, staged)| async move {
            let key = pack_key(id);
            self.publish(staged, &key).await
        });
        stream::iter(published)
            .buffer_unordered(PUBLISHED_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let (id, staged) = prepared.manifest;
        self.publish(staged, &manifest_key(id)).await?;
        self.version_keep(guard, id, prepared.ends).await?;
        Ok(prepared.committed)
    }

    fn stage(&self) -> Result<(Staged, File), BlobError> {
        Ok(Staged::create(&self.inner.root)?)
    }
}

impl PreparedVersion {
    /// The version of `storage` that `manifest` is, which names bytes of `packs` and of packs that
    /// are stored.
    pub(crate) fn new(
        blobs: &Blobs,
        storage: StorageId,
        packs: Vec<(PackId, Staged)>,
        manifest: &Manifest,
    ) -> Result<Self, CommitError> {
        let (manifest_id, bytes) = manifest.encode().map_err(BlobError::from)?;
        let (staged, mut file) = blobs.stage()?;
        io::Write::write_all(&mut file, &bytes).map_err(BlobError::from)?;
        Ok(Self {
            packs,
            manifest: (manifest_id, staged),
            ends: manifest.pack_ends(),
            committed: Committed {
                manifest_id,
                version_id: manifest.version_id(storage),
                size: manifest.size(),
                file_count: manifest.file_count(),
            },
        })
    }
}

struct Upload {
    declaration: Declaration,
    manifest: ObjectReader,
    archive: Option<ObjectReader>,
}

impl Upload {
    fn prepare(
        mut self,
        blobs: &Blobs,
        storage: StorageId,
        base: Option<&Manifest>,
    ) -> Result<PreparedVersion, CommitError> {
        self.declaration.complete(self.manifest)?;
        let (pack_staged, file) = blobs.stage()?;
        let out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, file);
        let pack = PackWriter::new(out, base).map_err(BlobError::from)?;
        let mut assembly = Assembly::new(self.declaration, pack);
        if let Some(archive) = self.archive {
            assembly.read(archive)?;
        }
        let (pack, manifest) = assembly.finish()?;
        let packs = pack.map(|id| (id, pack_staged)).into_iter().collect();
        PreparedVersion::new(blobs, storage, packs, &manifest)
    }
}

/// What was found of a declared entry.
#[derive(Clone)]
enum Found {
    File {
        executable: bool,
        content: WrittenContent,
    },
    Symlink,
}

/// The version as far as the archive was read.
struct Assembly<W> {
    declaration: Declaration,
    pack: PackWriter<W>,
    found: Vec<Option<Found>>,
}

impl<W: io::Write> Assembly<W> {
    fn new(declaration: Declaration, pack: PackWriter<W>) -> Self {
        let found = vec![None; declaration.entries.len()];
        Self {
            declaration,
            pack,
            found,
        }
    }

    fn read(&mut self, archive: ObjectReader) -> Result<(), CommitError> {
        let (size, count) = (self.declaration.size(), self.declaration.entries.len());
        for_each_member(archive, size, count, |member| self.member(member)).map_err(|error| {
            match error {
                WalkError::Fault(fault) => CommitError::Invalid(fault),
                WalkError::Write(error) => CommitError::Blob(error.into()),
            }
        })
    }

    fn member(&mut self, member: Member<'_>) -> Result<(), VisitError> {
        let place = self.declaration.index.get(member.path).copied();
        let place = place.ok_or(VisitError::Fault(MemberFault::Undeclared))?;
        if self.found[place].is_some() {
            return Err(VisitError::Fault(MemberFault::Repeated));
        }
        let found = match member.body {
            MemberBody::File {
                size,
                executable,
                content,
            } => self.file(place, size, executable, content)?,
            MemberBody::Symlink { target } => self.symlink(place, target)?,
            MemberBody::HardLink { to } => self.hard_link(place, to)?,
        };
        self.found[place] = Some(found);
        Ok(())
    }

    fn file(
        &mut self,
        place: usize,
        size: u64,
        executable: bool,
        content: &mut dyn Read,
    ) -> Result<Found, VisitError> {
        let ExpectedContent::File {
            size: declared_size,
            ..
        } = self.declaration.entries[place].content
        else {
            return Err(VisitError::Fault(MemberFault::Kind));
        };
        // Before the content is read: this is what bounds the decompression.
        if size != declared_size {
            return Err(VisitError::Fault(MemberFault::Size));
        }
        let mut content = Watched {
            inner: content,
            failed: false,
        };
        let written = self.pack.write(&mut content, size).map_err(|error| {
            if content.failed {
                VisitError::Read(error)
            } else {
                VisitError::Write(error)
            }
        })?;
        if written.size != size {
            return Err(VisitError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        let found = Found::File {
            executable,
            content: written,
        };
        self.compare(place, &found)?;
        Ok(found)
    }

    fn symlink(&self, place: usize, found: &[u8]) -> Result<Found, VisitError> {
        match &self.declaration.entries[place].content {
            ExpectedContent::Symlink { target } if target.as_bytes() == found => Ok(Found::Symlink),
            ExpectedContent::Symlink { .. } => Err(VisitError::Fault(MemberFault::Target)),
            ExpectedContent::File { .. } => Err(VisitError::Fault(MemberFault::Kind)),
        }
    }

    /// A hard link counts as what the earlier member is.
    fn hard_link(&self, place: usize, to: &[u8]) -> Result<Found, VisitError> {
        let no_target = VisitError::Fault(MemberFault::HardLink);
        let target = std::str::from_utf8(to)
            .ok()
            .and_then(|to| self.declaration.index.get(to));
        let Some(&target) = target else {
            return Err(no_target);
        };
        let Some(found) = self.found[target].clone() else {
            return Err(no_target);
        };
        match (&found, &self.declaration.entries[target].content) {
            (Found::Symlink, ExpectedContent::Symlink { target }) => {
                self.symlink(place, target.as_bytes())?;
            }
            _ => self.compare(place, &found)?,
        }
        Ok(found)
    }

    /// Compares a file with its declaration.
    fn compare(&self, place: usize, found: &Found) -> Result<(), VisitError> {
        let expected = &self.declaration.entries[place].content;
        let (
            ExpectedContent::File {
                size,
                hash,
                executable,
            },
            Found::File {
                executable: found_executable,
                content,
            },
        ) = (expected, found)
        else {
            return Err(VisitError::Fault(MemberFault::Kind));
        };
        let fault = if content.size != *size {
            MemberFault::Size
        } else if hash.is_some_and(|hash| hash != content.hash) {
            MemberFault::Hash
        } else if executable.is_some_and(|executable| executable != *found_executable) {
            MemberFault::Executable
        } else {
            return Ok(());
        };
        Err(VisitError::Fault(fault))
    }

    fn finish(self) -> Result<(Option<PackId>, Manifest), CommitError> {
        let pack = self
            .pack
            .finish()
            .map_err(BlobError::from)?
            .map(|(id, _)| id);
        let mut entries = Vec::with_capacity(self.found.len());
        for (expected, found) in self.declaration.entries.into_iter().zip(self.found) {
            let path = expected.path;
            let content = match (found, expected.content) {
                (
                    Some(Found::File {
                        executable,
                        content,
                    }),
                    _,
                ) => Content::File(content.place(pack, executable)),
                (Some(Found::Symlink), ExpectedContent::Symlink { target }) => {
                    Content::Symlink { target }
                }
                (Some(Found::Symlink) | None, _) => {
                    return Err(UploadFault::Missing { path }.into());
                }
            };
            entries.push(Entry { path, content });
        }
        Ok((pack, Manifest::new(entries).map_err(BlobError::from)?))
    }
}

/// The version that an upload is, without storing it: only for fuzzing.
#[cfg(fuzzing)]
pub(crate) fn dry_commit(
    declared: &[DeclaredFile],
    archive: ObjectReader,
) -> Result<Manifest, CommitError> {
    let declaration = Declaration::new(declared)?;
    let pack = PackWriter::new(io::sink(), None).map_err(BlobError::from)?;
    let mut assembly = Assembly::new(declaration, pack);
    assembly.read(archive)?;
    assembly.finish().map(|(_, manifest)| manifest)
}

/// Remembers whether it was reading that failed, and not writing.
struct Watched<'a> {
    inner: &'a mut dyn Read,
    failed: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        self.failed = result
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        result
    }
}
