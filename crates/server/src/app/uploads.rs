//! Upload sessions: declare the files, put the objects, commit (API 8.4, 8.5).

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use uuid::Uuid;
use vm0_blob::UploadObject;
use vm0_model::wire::storages::{DeclaredFile, UploadSession, UploadTarget};
use vm0_model::{ApiError, ErrorCode, StorageKind, VersionId, limits};
use vm0_store::record::{StorageRecord, UploadRecord};

use super::context::App;
use super::declaration::{check_files, declared_version, hash};
use super::error::AppError;
use super::objects::ObjectGrant;
use super::storages::{CommitRequest, head_conflict};
use super::tokens::Caller;
use crate::clock;

const UNKNOWN_SESSION: &str = "Upload session not found or expired";

/// What is to be uploaded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadRequest {
    /// The declared files.
    pub(crate) files: Vec<DeclaredFile>,
    /// Whether only what the storage lacks is to be sent, in parts.
    pub(crate) parts: bool,
}

/// What the first part of a session id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionName {
    /// Nothing was uploaded; `None` names no version at all.
    Existing(Option<VersionId>),
    /// An upload.
    Upload,
}

/// An upload session that can be committed.
pub(super) enum OpenUpload {
    /// It was committed as this version before.
    Committed(VersionId),
    /// It can be committed.
    Open {
        /// Its name in the object store.
        session: String,
        /// What was declared.
        declared: Vec<DeclaredFile>,
    },
}

impl SessionName {
    pub(super) fn parse(id: &str) -> Result<Self, ApiError> {
        match id.split_once(':') {
            Some(("existing", version)) => Ok(Self::Existing(version.parse().ok())),
            Some(("upload", _)) => Ok(Self::Upload),
            _ => Err(ApiError::invalid(
                "upload_session_id",
                "Invalid upload_session_id format",
            )),
        }
    }
}

impl App {
    /// Opens an upload session for the declared files, or finds that nothing is to be uploaded.
    pub(crate) async fn upload_create(
        &self,
        caller: &Caller,
        kind: StorageKind,
        id: &str,
        request: UploadRequest,
    ) -> Result<UploadSession, AppError> {
        let UploadRequest { files, parts } = request;
        check_files(&files)?;
        let storage = self.storage(caller, kind, id).await?;
        self.check_size(&files)?;
        let now = clock::now();
        let expires_at = clock::after(now, limits::UPLOAD_SESSION_TTL);
        let version = declared_version(storage.id, &files);
        let complete = files
            .iter()
            .all(|file| file.link_target.is_some() || hash(file).is_some());
        if complete {
            let known = self
                .store
                .storage_version_match(storage.id, &version.to_string())
                .await?;
            if !known.is_empty() {
                let upload_session_id = format!("existing:{version}");
                return Ok(UploadSession {
                    upload_session_id,
                    files: Vec::new(),
                    expires_at,
                    parts: parts.then(Vec::new),
                });
            }
        }
        if parts {
            return self.upload_create_parts(&storage, version, files).await;
        }
        let session = Uuid::now_v7().to_string();
        self.declaration_put(&session, &files).await?;
        let upload = UploadRecord {
            id: format!("upload:{version}:{session}"),
            storage_id: storage.id,
            expires_at,
            committed: None,
            created_at: now,
        };
        if !self.store.upload_create(upload.clone()).await? {
            self.upload_discard(&upload.id).await;
            return Err(ApiError::not_found(kind.as_str(), id).into());
        }
        let target = |object: UploadObject| UploadTarget {
            path: object.file_name().into_owned(),
            upload_url: self.sign_url(&ObjectGrant::Upload {
                session: session.clone(),
                object,
            }),
            upload_id: format!("{session}-{}", object.file_name()),
        };
        let files = vec![
            target(UploadObject::Archive),
            target(UploadObject::Manifest),
        ];
        Ok(UploadSession {
            upload_session_id: upload.id,
            files,
            expires_at,
            parts: None,
        })
    }

    /// Removes what was put under a session that has no row any more.
    pub(crate) async fn upload_discard(&self, id: &str) {
        if let Err(error) = self.blobs.upload_delete(session_of(id)).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, id, "the objects of an upload that is gone stay");
        }
    }

    /// The session that a commit names, after the checks that need no content.
    pub(super) async fn upload_open(
        &self,
        storage: &StorageRecord,
        request: &CommitRequest,
    ) -> Result<OpenUpload, AppError> {
        let unknown = || ApiError::invalid("upload_session_id", UNKNOWN_SESSION);
        let id = &request.upload_session_id;
        let upload = self.store.upload_view(id).await?.ok_or_else(unknown)?;
        if upload.storage_id != storage.id || upload.expires_at <= clock::now() {
            return Err(unknown().into());
        }
        if let Some(version) = upload.committed {
            return Ok(OpenUpload::Committed(version));
        }
        let mut parts = id.splitn(3, ':').skip(1);
        let version: VersionId = parts
            .next()
            .and_then(|part| part.parse().ok())
            .ok_or_else(unknown)?;
        let session = parts.next().ok_or_else(unknown)?.to_owned();
        let declared = self.declaration_get(&session).await?.ok_or_else(unknown)?;
        if let Some(expected) = request.expected {
            let head = storage.head.as_ref().map(|head| head.id);
            let provisional = declared.iter().any(|file| {
                file.link_target.is_none() && (hash(file).is_none() || file.executable.is_none())
            });
            // The version of a provisional id is known only after the content was read; the store
            // checks again when the head moves.
            if head != expected && head != Some(version) && !(provisional && head.is_some()) {
                return Err(head_conflict().into());
            }
        }
        Ok(OpenUpload::Open { session, declared })
    }

    fn check_size(&self, files: &[DeclaredFile]) -> Result<(), ApiError> {
        let too_large = |message: String| {
            ApiError::new(ErrorCode::PayloadTooLarge, message).with_param("files")
        };
        let max_entries = self.settings.version_max_entries;
        if files.len() > max_entries {
            return Err(too_large(format!(
                "A version has at most {max_entries} entries"
            )));
        }
        let max_bytes = self.settings.version_max_bytes;
        let size = files
            .iter()
            .map(|file| file.size)
            .fold(0, u64::saturating_add);
        if size > max_bytes {
            return Err(too_large(format!(
                "A version has at most {max_bytes} bytes"
            )));
        }
        Ok(())
    }

    pub(super) async fn declaration_put(
        &self,
        session: &str,
        files: &[DeclaredFile],
    ) -> Result<(), AppError> {
        let encode = |source| AppError::Corrupt {
            what: "declaration of an upload",
            source,
        };
        let bytes = serde_json::to_vec(files).map_err(encode)?;
        let limit = bytes.len() as u64;
        let stream = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        self.blobs
            .upload_put(session, UploadObject::Declaration, stream, limit)
            .await?;
        Ok(())
    }

    pub(super) async fn declaration_get(
        &self,
        session: &str,
    ) -> Result<Option<Vec<DeclaredFile>>, AppError> {
        let Some(stream) = self
            .blobs
            .upload_read(session, UploadObject::Declaration)
            .await?
        else {
            return Ok(None);
        };
        let append = |mut all: Vec<u8>, part: Bytes| async move {
            all.extend_from_slice(&part);
            Ok(all)
        };
        let bytes = stream
            .try_fold(Vec::new(), append)
            .await
            .map_err(vm0_blob::BlobError::Io)?;
        let decode = |source| AppError::Corrupt {
            what: "declaration of an upload",
            source,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(decode)
    }
}

/// The name of a session in the object store.
pub(super) fn session_of(id: &str) -> &str {
    id.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_say_what_they_are() {
        assert!(SessionName::parse("abc").is_err());
        assert!(SessionName::parse("other:x").is_err());
        assert_eq!(
            SessionName::parse("existing:x"),
            Ok(SessionName::Existing(None))
        );
        assert_eq!(SessionName::parse("upload:"), Ok(SessionName::Upload));
    }
}
