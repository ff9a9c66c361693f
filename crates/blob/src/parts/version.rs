//! The version that parts and base make together.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use vm0_model::{ContentHash, StorageId, limits};

use super::files::{PartsAndPacks, Unproven};
use super::plan::{PartPlan, PlannedContent, PlannedFile};
use super::read::{ReadError, ReadPart, read_part};
use crate::blobs::{Blobs, Staged, UploadObject};
use crate::commit::{CommitError, PreparedVersion, UploadFault};
use crate::error::BlobError;
use crate::manifest::{Chunk, Content, Entry, FileContent, Manifest};

impl Blobs {
    /// Makes a version of `storage` from the parts of `session`, as planned. Nothing is stored yet,
    /// and the session's objects stay. Every part is taken as it is now: what replaces it meanwhile
    /// is not looked at.
    ///
    /// # Errors
    ///
    /// When a part is missing, or does not hold what it should.
    pub async fn version_prepare_parts(
        &self,
        storage: StorageId,
        plan: PartPlan,
        session: &str,
    ) -> Result<PreparedVersion, CommitError> {
        let mut staged = Vec::with_capacity(plan.parts.len());
        for number in 0..plan.parts.len() {
            let part = UploadObject::part(number);
            let snapshot = self.upload_snapshot(session, part).await?;
            staged.push(snapshot.ok_or(CommitError::Incomplete(part))?);
        }
        let blobs = self.clone();
        let runtime = Handle::current();
        let prepare = move || assemble(&blobs, &runtime, storage, plan, staged);
        tokio::task::spawn_blocking(prepare)
            .await
            .map_err(BlobError::from)?
    }
}

fn assemble(
    blobs: &Blobs,
    runtime: &Handle,
    storage: StorageId,
    plan: PartPlan,
    staged: Vec<Staged>,
) -> Result<PreparedVersion, CommitError> {
    let read = in_parallel(staged.len(), |number| read_one(&plan, &staged, number))?;
    let PartPlan {
        files,
        missing,
        parts,
        known: mut chunks,
    } = plan;
    for (range, part) in parts.into_iter().zip(&read) {
        for (wanted, place) in missing[range].iter().zip(&part.places) {
            let chunk = Chunk {
                pack: part.id,
                offset: place.offset,
                stored_len: place.stored_len,
                len: wanted.len,
                hash: wanted.hash,
            };
            chunks.insert(wanted.hash, chunk);
        }
    }
    let packs: Vec<_> = read.iter().map(|part| part.id).zip(staged).collect();
    let source = PartsAndPacks {
        blobs: blobs.clone(),
        parts: packs
            .iter()
            .map(|(id, staged)| (*id, staged.path().to_owned()))
            .collect(),
    };
    let unproven: Vec<_> = files
        .iter()
        .filter_map(|file| unproven(file, &chunks))
        .collect();
    in_parallel(unproven.len(), |index| {
        source.verify(runtime, &unproven[index])
    })?;
    drop(unproven);
    let entries = files.into_iter().map(|file| entry(file, &chunks)).collect();
    let manifest = Manifest::new(entries).map_err(BlobError::from)?;
    PreparedVersion::new(blobs, storage, packs, &manifest)
}

fn read_one(plan: &PartPlan, staged: &[Staged], number: usize) -> Result<ReadPart, CommitError> {
    let wanted = &plan.missing[plan.parts[number].clone()];
    let part = File::open(staged[number].path()).map_err(BlobError::from)?;
    read_part(part, wanted).map_err(|error| match error {
        ReadError::Fault(fault) => UploadFault::Part { number, fault }.into(),
        ReadError::Io(error) => BlobError::from(error).into(),
    })
}

/// A file that nobody has read as a whole.
fn unproven<'a>(
    file: &'a PlannedFile,
    chunks: &HashMap<ContentHash, Chunk>,
) -> Option<Unproven<'a>> {
    let PlannedContent::File {
        hash,
        chunks: hashes,
        proven: false,
        ..
    } = &file.content
    else {
        return None;
    };
    Some(Unproven {
        path: &file.path,
        hash: *hash,
        chunks: hashes.iter().map(|hash| chunks[hash]).collect(),
    })
}

fn entry(file: PlannedFile, chunks: &HashMap<ContentHash, Chunk>) -> Entry {
    let content = match file.content {
        PlannedContent::Symlink { target } => Content::Symlink { target },
        PlannedContent::File {
            executable,
            size,
            hash,
            chunks: hashes,
            ..
        } => Content::File(FileContent {
            executable,
            size,
            hash,
            chunks: hashes.iter().map(|hash| chunks[hash]).collect(),
        }),
    };
    let path = file.path;
    Entry { path, content }
}

/// Does `work` for each number below `count`, on a few threads; the results in order, or the first
/// error that was met.
fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, CommitError> + Sync,
) -> Result<Vec<T>, CommitError> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(done);
            }
            // Nobody begins anything after an error.
            let result = work(number).inspect_err(|_| next.store(count, Ordering::Relaxed));
            done.push((number, result?));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(limits::UPLOAD_VERIFIERS_MAX).min(count);
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.collect::<Vec<_>>()
    });
    let mut all = Vec::with_capacity(count);
    for result in results {
        let done: Result<Vec<_>, CommitError> =
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        all.extend(done?);
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, value)| value).collect())
}
