//! Uploads in parts: only what the storage's head lacks is sent (docs/api-extensions.md).
//!
//! What counts as held is what the version that the upload builds on consists of: the head of the
//! same storage when the session began. It is the caller's own, so that naming a hash never gives
//! anybody content that is not theirs already.

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use vm0_blob::{Manifest, PartPlan, PlanFault, PreparedVersion, UploadObject};
use vm0_model::wire::storages::{DeclaredFile, UploadPart, UploadSession};
use vm0_model::{ApiError, ErrorCode, StorageId, VersionId, limits};
use vm0_store::record::{StorageRecord, UploadRecord};

use super::context::App;
use super::error::AppError;
use super::objects::ObjectGrant;
use super::storages::commit_fault;
use super::uploads::session_of;
use crate::clock;

/// What an upload in parts builds on, as it is kept with the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartsBase {
    base: Option<VersionId>,
}

impl App {
    /// Opens a session for an upload in parts of what will be `version`, or finds the one that was
    /// opened for the same files and not finished.
    pub(super) async fn upload_create_parts(
        &self,
        storage: &StorageRecord,
        version: VersionId,
        files: Vec<DeclaredFile>,
    ) -> Result<UploadSession, AppError> {
        let unfinished = self.upload_unfinished(storage.id, version, &files);
        if let Some((upload, base)) = unfinished.await? {
            let plan = self.parts_plan(storage.id, base, &files).await?;
            let put = self.blobs.upload_parts(session_of(&upload.id)).await?;
            return Ok(self.parts_session(upload, &plan, |number| put.contains(&number)));
        }
        // Refused before anything is kept of it.
        let base = PartsBase {
            base: storage.head.as_ref().map(|head| head.id),
        };
        let plan = self.parts_plan(storage.id, base, &files).await?;
        let session = uuid::Uuid::now_v7().to_string();
        self.declaration_put(&session, &files).await?;
        self.parts_base_put(&session, base).await?;
        let now = clock::now();
        let upload = UploadRecord {
            id: format!("upload:{version}:{session}"),
            storage_id: storage.id,
            expires_at: clock::after(now, limits::UPLOAD_SESSION_TTL),
            committed: None,
            created_at: now,
        };
        if !self.store.upload_create(upload.clone()).await? {
            self.upload_discard(&upload.id).await;
            return Err(ApiError::not_found(storage.kind.as_str(), storage.id).into());
        }
        Ok(self.parts_session(upload, &plan, |_| false))
    }

    /// The version that the parts of a session make, and the base they were planned for.
    pub(super) async fn parts_prepare(
        &self,
        storage: StorageId,
        session: &str,
        declared: &[DeclaredFile],
        base: PartsBase,
    ) -> Result<PreparedVersion, AppError> {
        let plan = self.parts_plan(storage, base, declared).await?;
        let prepared = self.blobs.version_prepare_parts(storage, plan, session);
        prepared.await.map_err(commit_fault)
    }

    /// What an upload builds on; `None` if it is not in parts.
    pub(super) async fn parts_base(&self, session: &str) -> Result<Option<PartsBase>, AppError> {
        let read = self.blobs.upload_read(session, UploadObject::Base);
        let Some(stream) = read.await? else {
            return Ok(None);
        };
        let pieces: Vec<Bytes> = stream
            .try_collect()
            .await
            .map_err(vm0_blob::BlobError::Io)?;
        let base = serde_json::from_slice(&pieces.concat()).map_err(corrupt)?;
        Ok(Some(base))
    }

    async fn parts_base_put(&self, session: &str, base: PartsBase) -> Result<(), AppError> {
        let bytes = serde_json::to_vec(&base).map_err(corrupt)?;
        let limit = bytes.len() as u64;
        let stream = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        self.blobs
            .upload_put(session, UploadObject::Base, stream, limit)
            .await?;
        Ok(())
    }

    /// A session in parts for the same version that was declared alike and is valid for a while.
    async fn upload_unfinished(
        &self,
        storage: StorageId,
        version: VersionId,
        files: &[DeclaredFile],
    ) -> Result<Option<(UploadRecord, PartsBase)>, AppError> {
        let valid_until = clock::after(clock::now(), limits::UPLOAD_RESUME_MIN);
        let prefix = format!("upload:{version}:");
        let found = self.store.upload_find(storage, &prefix, valid_until);
        let Some(upload) = found.await? else {
            return Ok(None);
        };
        let session = session_of(&upload.id);
        let declared = self.declaration_get(session).await?;
        if declared.is_none_or(|declared| declared != files) {
            return Ok(None);
        }
        let base = self.parts_base(session).await?;
        Ok(base.map(|base| (upload, base)))
    }

    /// What is left to be sent.
    fn parts_session(
        &self,
        upload: UploadRecord,
        plan: &PartPlan,
        is_put: impl Fn(u32) -> bool,
    ) -> UploadSession {
        let session = session_of(&upload.id);
        let parts = (0..)
            .zip(plan.parts())
            .filter(|(number, _)| !is_put(*number));
        let parts = parts.map(|(number, chunks)| UploadPart {
            upload_url: self.sign_url(&ObjectGrant::Upload {
                session: session.to_owned(),
                object: UploadObject::Part(number),
            }),
            chunks,
        });
        UploadSession {
            files: Vec::new(),
            expires_at: upload.expires_at,
            parts: Some(parts.collect()),
            upload_session_id: upload.id,
        }
    }

    async fn parts_plan(
        &self,
        storage: StorageId,
        base: PartsBase,
        files: &[DeclaredFile],
    ) -> Result<PartPlan, AppError> {
        let base = self.base_manifest(storage, base).await?;
        let plan = PartPlan::new(files, base.as_ref());
        Ok(plan.map_err(|fault: PlanFault| {
            let path = format!("files.{}.{}", fault.index, fault.field);
            ApiError::invalid(path.clone(), format!("{path} {fault}"))
        })?)
    }

    async fn base_manifest(
        &self,
        storage: StorageId,
        base: PartsBase,
    ) -> Result<Option<Manifest>, AppError> {
        let Some(base) = base.base else {
            return Ok(None);
        };
        let id = base.to_string();
        let rows = self.store.storage_version_match(storage, &id).await?;
        let gone = || {
            let why = "The version that the upload builds on is gone; declare the files again";
            ApiError::new(ErrorCode::UploadInvalid, why).with_param("upload_session_id")
        };
        let row = rows.into_iter().next().ok_or_else(gone)?;
        Ok(Some(self.blobs.manifest_get(row.manifest_id).await?))
    }
}

fn corrupt(source: serde_json::Error) -> AppError {
    AppError::Corrupt {
        what: "base of an upload",
        source,
    }
}
