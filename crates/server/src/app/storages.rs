//! Volumes and artifacts, which work alike (API 8).

use vm0_blob::{CommitError, PreparedVersion};
use vm0_model::name::is_storage_name;
use vm0_model::reference::{VersionRef, VersionRefError, choose_match};
use vm0_model::wire::page::Page;
use vm0_model::wire::storages::{
    ArtifactFields, DeclaredFile, Storage, StorageDetail, StorageVersion,
};
use vm0_model::{ApiError, ErrorCode, StorageId, StorageKind, VersionId};
use vm0_store::record::{
    Key, StorageCommit, StorageCommitOutcome, StorageRecord, StorageVersionRecord,
};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::objects::ObjectGrant;
use super::tokens::Caller;
use super::uploads::{OpenUpload, SessionName};
use crate::clock;

/// The names of storages, as errors say it.
const NAME_RULE: &str =
    "must be 1-64 lowercase letters, digits or '-', beginning and ending with a letter or digit";

/// A commit as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct CommitRequest {
    /// As the upload answer named it.
    pub(crate) upload_session_id: String,
    /// Kept with a new version.
    pub(crate) message: Option<String>,
    /// If given, the head must be this.
    pub(crate) expected: Option<Option<VersionId>>,
}

/// Checks the name of a volume or artifact given in the field `param`.
pub(super) fn check_name(param: &str, name: &str) -> Result<(), ApiError> {
    let fault = || ApiError::invalid(param, format!("{param} {NAME_RULE}"));
    is_storage_name(name).then_some(()).ok_or_else(fault)
}

impl App {
    /// Makes a storage without versions.
    pub(crate) async fn storage_create(
        &self,
        caller: &Caller,
        kind: StorageKind,
        name: String,
    ) -> Result<StorageDetail, AppError> {
        check_name("name", &name)?;
        let now = clock::now();
        let storage = StorageRecord {
            id: clock::fresh(StorageId::from_uuid),
            user_id: caller.user.id,
            kind,
            name: name.clone(),
            head: None,
            created_at: now,
            updated_at: now,
        };
        match self.store.storage_create(storage).await? {
            Some(storage) => Ok(detail(storage)),
            None => {
                let message = format!("{} '{name}' already exists", kind.title());
                Err(ApiError::new(ErrorCode::ResourceAlreadyExists, message)
                    .with_param("name")
                    .into())
            }
        }
    }

    /// Removes a storage and its versions. Their bytes may be those of other versions too, so they
    /// are left to the garbage collection.
    pub(crate) async fn storage_delete(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
    ) -> Result<(), AppError> {
        let unknown = || ApiError::not_found(kind.as_str(), id);
        let storage = id.parse().map_err(|_| unknown())?;
        let deleted = self
            .acting(caller)
            .storage_delete(caller.user.id, kind, storage)
            .await?;
        for upload in deleted.ok_or_else(unknown)? {
            self.upload_discard(&upload).await;
        }
        Ok(())
    }

    /// The storages of the caller.
    pub(crate) async fn storage_list(
        &self,
        caller: &Caller,
        kind: StorageKind,
        name: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Storage>, AppError> {
        let list = kind.as_str();
        let name = name.map(str::to_lowercase);
        let rows = cursor::list_page(list, page)?;
        let rows = self
            .store
            .storage_list(caller.user.id, kind, name.as_deref(), rows)
            .await?;
        let position = |row: &StorageRecord| cursor::list_position(list, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, |row| {
            item(&row)
        }))
    }

    /// A storage in full.
    pub(crate) async fn storage_view(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
    ) -> Result<StorageDetail, AppError> {
        Ok(detail(self.storage(caller, kind, id).await?))
    }

    /// The versions of a storage.
    pub(crate) async fn storage_version_list(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
        page: &PageRequest,
    ) -> Result<Page<StorageVersion>, AppError> {
        let list = format!("versions {id}");
        let rows = cursor::list_page(&list, page)?;
        let storage = self.storage(caller, kind, id).await?;
        let rows = self.store.storage_version_list(storage.id, rows).await?;
        let position =
            |row: &StorageVersionRecord| cursor::list_position(&list, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, |row| {
            version(kind, row)
        }))
    }

    /// Makes the content of an upload session the head.
    pub(crate) async fn storage_commit(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
        request: CommitRequest,
    ) -> Result<StorageVersion, AppError> {
        let storage = self.storage(caller, kind, id).await?;
        let committed = match SessionName::parse(&request.upload_session_id)? {
            SessionName::Existing(id) => self.commit_existing(&storage, id, &request).await?,
            SessionName::Upload => match self.upload_open(&storage, &request).await? {
                OpenUpload::Committed(id) => {
                    self.commit_existing(&storage, Some(id), &request).await?
                }
                OpenUpload::Open { session, declared } => {
                    self.commit_upload(&storage, &session, &declared, request)
                        .await?
                }
            },
        };
        Ok(version(kind, committed))
    }

    /// A signed URL from which a version can be downloaded.
    pub(crate) async fn storage_download(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
        version_id: Option<&str>,
    ) -> Result<String, AppError> {
        let storage = self.storage(caller, kind, id).await?;
        let gone = |message: String| ApiError::new(ErrorCode::ResourceNotFound, message);
        let (title, name) = (kind.title(), &storage.name);
        let version = match version_id {
            None => storage
                .head
                .clone()
                .ok_or_else(|| gone(format!("{title} '{name}' has no versions")))?,
            Some(reference) => {
                let wanted = VersionRef::parse_id(reference).map_err(|e| gone(e.to_string()))?;
                self.version_match(storage.id, reference, &wanted)
                    .await?
                    .map_err(|error| gone(error.to_string()))?
            }
        };
        if version.file_count == 0 {
            return Err(gone(format!("{title} '{name}' version has no files")).into());
        }
        let file_name = format!("{name}-{}.tar.gz", version.id.short());
        Ok(self.sign_url(&ObjectGrant::Archive {
            storage: storage.id,
            version: version.id,
            manifest: version.manifest_id,
            file_name,
        }))
    }

    /// A storage of the caller.
    pub(super) async fn storage(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
    ) -> Result<StorageRecord, AppError> {
        let unknown = || ApiError::not_found(kind.as_str(), id);
        let key = Key::Id(id.parse().map_err(|_| unknown())?);
        let found = self.store.storage_view(caller.user.id, kind, &key).await?;
        Ok(found.ok_or_else(unknown)?)
    }

    /// The version of a storage that a reference other than `latest` names.
    pub(super) async fn version_match(
        &self,
        storage: StorageId,
        value: &str,
        wanted: &VersionRef<VersionId>,
    ) -> Result<Result<StorageVersionRecord, VersionRefError>, AppError> {
        let prefix = match wanted {
            VersionRef::Latest => value.to_ascii_lowercase(),
            VersionRef::Exact(id) => id.to_string(),
            VersionRef::Prefix(prefix) => prefix.clone(),
        };
        let rows = self.store.storage_version_match(storage, &prefix).await?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        Ok(choose_match(value, &ids)
            .map(|_| rows.into_iter().next())
            .and_then(|row| row.ok_or_else(|| VersionRefError::NotFound(value.to_owned()))))
    }

    async fn commit_existing(
        &self,
        storage: &StorageRecord,
        id: Option<VersionId>,
        request: &CommitRequest,
    ) -> Result<StorageVersionRecord, AppError> {
        // Held until the row is recorded: a version that is found stays.
        let _keep = self.blobs.keep().await?;
        let rows = match id {
            Some(id) => {
                self.store
                    .storage_version_match(storage.id, &id.to_string())
                    .await?
            }
            None => Vec::new(),
        };
        let unknown = || ApiError::invalid("upload_session_id", "Version not found");
        let version = rows.into_iter().next().ok_or_else(unknown)?;
        self.commit_version(storage, version, request.expected, None)
            .await
    }

    async fn commit_upload(
        &self,
        storage: &StorageRecord,
        session: &str,
        declared: &[DeclaredFile],
        request: CommitRequest,
    ) -> Result<StorageVersionRecord, AppError> {
        let prepared = match self.upload_prepare(storage, session, declared).await {
            Err(error) => {
                // The same commit, sent twice, may have been faster and removed what was put.
                let upload = self.store.upload_view(&request.upload_session_id).await?;
                let committed = upload.and_then(|upload| upload.committed);
                let version = committed.ok_or(error)?;
                return self.commit_existing(storage, Some(version), &request).await;
            }
            Ok(prepared) => prepared,
        };
        let keep = self.blobs.keep().await?;
        let committed = self.blobs.version_publish(&keep, prepared).await?;
        let version = StorageVersionRecord {
            id: committed.version_id,
            storage_id: storage.id,
            manifest_id: committed.manifest_id,
            size: committed.size,
            file_count: committed.file_count,
            message: request.message,
            created_by: "user".to_owned(),
            created_at: clock::now(),
            run_id: None,
            salvaged: false,
        };
        let upload = Some(request.upload_session_id);
        let version = self
            .commit_version(storage, version, request.expected, upload)
            .await?;
        drop(keep);
        if let Err(error) = self.blobs.upload_delete(session).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a committed upload stays"
            );
        }
        Ok(version)
    }

    /// The version that an upload is found to be.
    async fn upload_prepare(
        &self,
        storage: &StorageRecord,
        session: &str,
        declared: &[DeclaredFile],
    ) -> Result<PreparedVersion, AppError> {
        if let Some(base) = self.parts_base(session).await? {
            return self
                .parts_prepare(storage.id, session, declared, base)
                .await;
        }
        let base = match &storage.head {
            Some(head) => Some(self.blobs.manifest_get(head.manifest_id).await?),
            None => None,
        };
        self.blobs
            .version_prepare(storage.id, declared, session, base)
            .await
            .map_err(commit_fault)
    }

    async fn commit_version(
        &self,
        storage: &StorageRecord,
        version: StorageVersionRecord,
        expected: Option<Option<VersionId>>,
        upload: Option<String>,
    ) -> Result<StorageVersionRecord, AppError> {
        let kind = storage.kind;
        match self
            .store
            .storage_commit(StorageCommit {
                version,
                expected,
                upload,
            })
            .await?
        {
            StorageCommitOutcome::Committed(version) => Ok(version),
            StorageCommitOutcome::Conflict => Err(head_conflict().into()),
            StorageCommitOutcome::Gone => {
                Err(ApiError::not_found(kind.as_str(), storage.id).into())
            }
        }
    }
}

/// The head is not what the caller expected.
pub(super) fn head_conflict() -> ApiError {
    ApiError::new(
        ErrorCode::VersionConflict,
        "The current version is not the expected one",
    )
    .with_param("expected_version_id")
}

pub(super) fn commit_fault(error: CommitError) -> AppError {
    let code = match &error {
        CommitError::Incomplete(_) => ErrorCode::UploadIncomplete,
        CommitError::Invalid(_) => ErrorCode::UploadInvalid,
        CommitError::Blob(_) => {
            return match error {
                CommitError::Blob(error) => error.into(),
                other => ApiError::new(ErrorCode::UploadInvalid, other.to_string()).into(),
            };
        }
    };
    ApiError::new(code, error.to_string())
        .with_param("upload_session_id")
        .into()
}

fn item(row: &StorageRecord) -> Storage {
    Storage {
        id: row.id,
        name: row.name.clone(),
        current_version_id: row.head.as_ref().map(|head| head.id),
        size: row.head.as_ref().map_or(0, |head| head.size),
        file_count: row.head.as_ref().map_or(0, |head| head.file_count),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn detail(row: StorageRecord) -> StorageDetail {
    let storage = item(&row);
    let kind = row.kind;
    StorageDetail {
        storage,
        current_version: row.head.map(|head| version(kind, head)),
    }
}

fn version(kind: StorageKind, row: StorageVersionRecord) -> StorageVersion {
    let is = |wanted: StorageKind| (kind == wanted).then_some(row.storage_id);
    let artifact = ArtifactFields {
        run_id: row.run_id,
        salvaged: row.salvaged,
    };
    StorageVersion {
        id: row.id,
        volume_id: is(StorageKind::Volume),
        artifact_id: is(StorageKind::Artifact),
        size: row.size,
        file_count: row.file_count,
        message: row.message,
        created_by: row.created_by,
        created_at: row.created_at,
        artifact: (kind == StorageKind::Artifact).then_some(artifact),
    }
}
