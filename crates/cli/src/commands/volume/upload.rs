//! Saving a directory as a version: declare, put two objects, commit (API 8.4 and 8.5).

use std::path::Path;
use std::sync::Arc;

use vm0_client::{Body, Client};
use vm0_model::storage::StorageKind;
use vm0_model::wire::storages::{
    CommitCreate, Storage, StorageCreate, StorageVersion, UploadCreate, UploadManifest,
    UploadSession,
};

use super::remote;
use crate::error::Failure;
use crate::exit::Exit;
use crate::files::{ArchiveError, Tree, write_archive};
use crate::output::Output;
use crate::progress::byte_bar;
use crate::units;

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
    let tree = Arc::new(tree);
    let declaration = UploadCreate {
        files: tree.declare(!force),
        message: None,
    };
    let session = client
        .storage_upload(kind, storage.id, &declaration)
        .await?;
    let uploaded = !session.files.is_empty();
    if uploaded {
        put_objects(client, output, root, &tree, &session).await?;
    }
    let commit = CommitCreate {
        upload_session_id: session.upload_session_id,
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

async fn put_objects(
    client: &Client,
    output: &Output,
    root: &Path,
    tree: &Arc<Tree>,
    session: &UploadSession,
) -> Result<(), Failure> {
    let target = |name: &str| {
        session
            .files
            .iter()
            .find(|file| file.path == name)
            .map(|file| file.upload_url.as_str())
    };
    let archive_url = target("archive.tar.gz");
    let manifest_url = target("manifest.json");
    let (Some(archive_url), Some(manifest_url)) = (archive_url, manifest_url) else {
        let message = "The server did not say where to upload to";
        return Err(Failure::new(Exit::Failed, "client_failure", message));
    };
    if !tree.files.is_empty() {
        let bar = byte_bar(output, "Packing", tree.size());
        let file = tempfile::NamedTempFile::new()?;
        let out = file.reopen()?;
        let (root, packed, counter) = (root.to_owned(), Arc::clone(tree), bar.clone());
        let written = tokio::task::spawn_blocking(move || {
            write_archive(&root, &packed, out, |bytes| counter.inc(bytes))
        });
        let length = written.await.expect("packing does not panic")?;
        bar.finish_and_clear();
        output.note(&format!("Uploading {}", units::bytes(length)));
        let body = Body::File(file.path().to_owned());
        client
            .object_put(archive_url, "application/gzip", body, length)
            .await?;
    }
    let version = session
        .upload_session_id
        .split(':')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let manifest = UploadManifest {
        version,
        created_at: units::now(),
        total_size: tree.size(),
        file_count: tree.files.len() as u64,
        files: tree.declare(true),
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest is JSON");
    let length = bytes.len() as u64;
    let body = Body::Bytes(bytes.into());
    Ok(client
        .object_put(manifest_url, "application/json", body, length)
        .await?)
}
