//! Saving a directory as a version: declare, put what the server lacks, commit (API 8.4 and 8.5,
//! docs/api-extensions.md).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use vm0_client::{Body, Client};
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{
    CommitCreate, DeclaredFile, Storage, StorageCreate, StorageVersion, UploadCreate,
    UploadManifest, UploadPart, UploadSession,
};

use super::remote;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{ArchiveError, Chunked, Tree, chunk_files, write_archive};
use crate::output::Output;
use crate::progress::byte_bar;
use crate::units;

/// Parts that are compressed, or wait to be sent, at a time.
const PARTS_MADE_AT_ONCE: usize = 4;
/// Parts on the line at a time: so many are sent again after a cut.
const PARTS_SENT_AT_ONCE: usize = 2;
const PART_TYPE: &str = "application/octet-stream";

/// What to save where.
#[derive(Debug)]
pub(crate) struct PushRequest<'a> {
    /// Volume or artifact.
    pub(crate) kind: StorageKind,
    /// Its name; created if there is none.
    pub(crate) name: &'a str,
    /// The directory.
    pub(crate) root: &'a Path,
    /// What is in it.
    pub(crate) tree: Tree,
    /// Kept with the version.
    pub(crate) message: Option<String>,
    /// Upload although the server has the content.
    pub(crate) force: bool,
    /// Only if the head is this version.
    pub(crate) expect: Option<&'a str>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct PushOutcome {
    /// The version, now the head.
    pub(crate) version: StorageVersion,
    /// Whether its content had to be uploaded.
    pub(crate) uploaded: bool,
    /// Whether the head is another one than before.
    pub(crate) changed: bool,
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match &error {
            ArchiveError::Changed(_) => Self::new(Exit::Failed, "file_changed", error.to_string()),
            _ => Self::of("archive", &error),
        }
    }
}

/// Saves a directory as a version and makes it the head.
pub(crate) async fn push_tree(
    client: &Client,
    output: &Output,
    request: PushRequest<'_>,
) -> Result<PushOutcome, Failure> {
    let PushRequest {
        kind,
        name,
        root,
        tree,
        message,
        force,
        expect,
    } = request;
    let storage = find_or_create(client, kind, name).await?;
    let expected_version_id = match expect {
        Some(reference) => Some(Some(
            remote::resolve(client, kind, &storage, Some(reference))
                .await?
                .id
                .to_string(),
        )),
        None => None,
    };
    let directory = Directory {
        root: root.to_owned(),
        tree: Arc::new(tree),
    };
    let upload = Upload {
        client,
        output,
        kind,
        storage: &storage,
        directory: &directory,
    };
    let session = match force {
        true => upload.whole(None).await?,
        false => upload.lacking().await?,
    };
    let tree = &directory.tree;
    if let Some(path) = tree.changed_since(root) {
        return Err(ArchiveError::Changed(path.to_owned()).into());
    }
    let uploaded = session.starts_with("upload:");
    let commit = CommitCreate {
        upload_session_id: session,
        message,
        expected_version_id,
    };
    let version = client
        .storage_commit(kind, storage.id, &commit, tree.size())
        .await?;
    let changed = storage.current_version_id != Some(version.id);
    Ok(PushOutcome {
        version,
        uploaded,
        changed,
    })
}

async fn find_or_create(
    client: &Client,
    kind: StorageKind,
    name: &str,
) -> Result<Storage, Failure> {
    if let Some(storage) = remote::find(client, kind, name).await? {
        return Ok(storage);
    }
    match client
        .storage_create(
            kind,
            &StorageCreate {
                name: name.to_owned(),
            },
        )
        .await
    {
        Ok(detail) => Ok(detail.storage),
        Err(error) if error.code() == Some("resource_already_exists") => {
            remote::require(client, kind, name).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The directory whose files are sent.
#[derive(Debug, Clone)]
struct Directory {
    root: PathBuf,
    tree: Arc<Tree>,
}

/// An upload on its way.
struct Upload<'a> {
    client: &'a Client,
    output: &'a Output,
    kind: StorageKind,
    storage: &'a Storage,
    directory: &'a Directory,
}

impl Upload<'_> {
    /// Sends what the server lacks; the session to commit.
    async fn lacking(&self) -> Result<String, Failure> {
        let tree = &self.directory.tree;
        let is_head = self.storage.current_version_id == Some(tree.version(self.storage.id));
        if is_head || tree.files.is_empty() {
            let session = self.declare(tree.declare(true), false).await?;
            return self.whole(Some(session)).await;
        }
        let (chunked, session) = match self.uncut().await? {
            Some(taken) => taken,
            None => {
                let directory = self.directory.clone();
                let cut = move || chunk_files(&directory.root, &directory.tree);
                let chunked = beside(cut).await?;
                let session = self.declare(chunked.declared.clone(), true).await?;
                (chunked, session)
            }
        };
        match session.parts {
            Some(parts) => {
                self.put_parts(Arc::new(chunked), parts).await?;
                Ok(session.upload_session_id)
            }
            // A server that knows only the archive.
            None => self.whole(Some(session)).await,
        }
    }

    /// Declares the big files without cutting them, which spares reading them again; `None` if the
    /// server does not hold all of them.
    async fn uncut(&self) -> Result<Option<(Chunked, UploadSession)>, Failure> {
        if self.storage.current_version_id.is_none() {
            return Ok(None);
        }
        let chunked = Chunked::uncut(&self.directory.tree);
        let declaration = UploadCreate {
            files: chunked.declared.clone(),
            message: None,
            parts: true,
        };
        let (kind, id) = (self.kind, self.storage.id);
        match self.client.storage_upload(kind, id, &declaration).await {
            Ok(session) => Ok(Some((chunked, session))),
            Err(error)
                if error
                    .param()
                    .is_some_and(|param| param.ends_with(".chunks")) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends all files as one archive, unless the session says that there is nothing to send;
    /// without a session, whatever the server has. The session to commit.
    async fn whole(&self, session: Option<UploadSession>) -> Result<String, Failure> {
        let session = match session {
            Some(session) => session,
            None => {
                self.declare(self.directory.tree.declare(false), false)
                    .await?
            }
        };
        if !session.files.is_empty() {
            self.put_objects(&session).await?;
        }
        Ok(session.upload_session_id)
    }

    async fn declare(
        &self,
        files: Vec<DeclaredFile>,
        parts: bool,
    ) -> Result<UploadSession, Failure> {
        let declaration = UploadCreate {
            files,
            message: None,
            parts,
        };
        let session = self
            .client
            .storage_upload(self.kind, self.storage.id, &declaration);
        Ok(session.await?)
    }

    /// Makes and sends parts, several at a time: one that is cut is sent again alone.
    async fn put_parts(
        &self,
        chunked: Arc<Chunked>,
        parts: Vec<UploadPart>,
    ) -> Result<(), Failure> {
        let sizes = parts.iter().map(|part| chunked.bytes_of(&part.chunks));
        let Some(total) = sizes.sum() else {
            let message = "The server asks for content that was not declared";
            return Err(Failure::new(Exit::Failed, "client_failure", message));
        };
        if total > 0 {
            let part = if parts.len() == 1 { "part" } else { "parts" };
            let (size, count) = (units::bytes(total), parts.len());
            self.output
                .note(&format!("Uploading {size} in {count} {part}"));
        }
        let bar = byte_bar(self.output, "Uploading", total);
        let made = parts.into_iter().map(|part| {
            let (chunked, bar) = (Arc::clone(&chunked), bar.clone());
            let Directory { root, tree } = self.directory.clone();
            let UploadPart { upload_url, chunks } = part;
            let make = move || chunked.part(&root, &tree, &chunks, |bytes| bar.inc(bytes));
            async move { Ok((upload_url, beside(make).await?)) }
        });
        stream::iter(made)
            .buffer_unordered(PARTS_MADE_AT_ONCE)
            .try_for_each_concurrent(PARTS_SENT_AT_ONCE, |(url, part): (String, Vec<u8>)| {
                self.put_part(url, part)
            })
            .await?;
        bar.finish_and_clear();
        Ok(())
    }

    async fn put_part(&self, url: String, part: Vec<u8>) -> Result<(), Failure> {
        let length = part.len() as u64;
        let body = Body::Bytes(part.into());
        let put = self.client.object_put(&url, PART_TYPE, body, length);
        Ok(put.await?)
    }

    async fn put_objects(&self, session: &UploadSession) -> Result<(), Failure> {
        let target = |name: &str| {
            let target = session.files.iter().find(|file| file.path == name);
            let message = "The server did not say where to upload to";
            target
                .map(|file| file.upload_url.as_str())
                .ok_or_else(|| Failure::new(Exit::Failed, "client_failure", message))
        };
        let (archive_url, manifest_url) = (target("archive.tar.gz")?, target("manifest.json")?);
        let tree = &self.directory.tree;
        if !tree.files.is_empty() {
            self.put_archive(archive_url).await?;
        }
        let version = session.upload_session_id.split(':').nth(1);
        let manifest = UploadManifest {
            version: version.unwrap_or_default().to_owned(),
            created_at: units::now(),
            total_size: tree.size(),
            file_count: tree.files.len() as u64,
            files: tree.declare(true),
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        let length = bytes.len() as u64;
        let body = Body::Bytes(bytes.into());
        let put = self
            .client
            .object_put(manifest_url, "application/json", body, length);
        Ok(put.await?)
    }

    async fn put_archive(&self, url: &str) -> Result<(), Failure> {
        let bar = byte_bar(self.output, "Packing", self.directory.tree.size());
        let file = tempfile::NamedTempFile::new()?;
        let out = file.reopen()?;
        let (Directory { root, tree }, counter) = (self.directory.clone(), bar.clone());
        let write = move || write_archive(&root, &tree, out, |bytes| counter.inc(bytes));
        let length = beside(write).await?;
        bar.finish_and_clear();
        self.output
            .note(&format!("Uploading {}", units::bytes(length)));
        let body = Body::File(file.path().to_owned());
        let put = self
            .client
            .object_put(url, "application/gzip", body, length);
        Ok(put.await?)
    }
}

/// Blocking work, beside the async runtime.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, Failure> {
    let result = tokio::task::spawn_blocking(work).await;
    Ok(result.expect("reading files does not panic")?)
}
