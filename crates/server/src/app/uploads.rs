//! Upload sessions: declare the files, put two objects, commit (API 8.4, 8.5).

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use vm0_blob::UploadObject;
use vm0_model::path::{FileSetFault, validate_file_set, validate_link_target};
use vm0_model::storage::{EntryKind, VersionEntry, version_id};
use vm0_model::wire::storages::{DeclaredFile, UploadSession, UploadTarget};
use vm0_model::{ApiError, ContentHash, ErrorCode, StorageId, StorageKind, VersionId, limits};
use vm0_store::record::{StorageRecord, UploadRecord};

use super::context::App;
use super::error::AppError;
use super::objects::ObjectGrant;
use super::storages::{CommitRequest, head_conflict};
use super::tokens::Caller;
use crate::clock;

const UNKNOWN_SESSION: &str = "Upload session not found or expired";

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
        files: Vec<DeclaredFile>,
    ) -> Result<UploadSession, AppError> {
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
                });
            }
        }
        let session = Uuid::now_v7().to_string();
        self.declaration_put(&session, files).await?;
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
            path: object.file_name().to_owned(),
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
        })
    }

    /// Removes what was put under a session that has no row any more.
    pub(crate) async fn upload_discard(&self, id: &str) {
        let session = id.rsplit(':').next().unwrap_or_default();
        if let Err(error) = self.blobs.upload_delete(session).await {
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

    async fn declaration_put(
        &self,
        session: &str,
        files: Vec<DeclaredFile>,
    ) -> Result<(), AppError> {
        let encode = |source| AppError::Corrupt {
            what: "declaration of an upload",
            source,
        };
        let bytes = serde_json::to_vec(&files).map_err(encode)?;
        let limit = bytes.len() as u64;
        let stream = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        self.blobs
            .upload_put(session, UploadObject::Declaration, stream, limit)
            .await?;
        Ok(())
    }

    async fn declaration_get(&self, session: &str) -> Result<Option<Vec<DeclaredFile>>, AppError> {
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

fn hash(file: &DeclaredFile) -> Option<&str> {
    file.hash.as_deref().filter(|hash| !hash.is_empty())
}

/// The id of the version as declared; provisional if something is undeclared.
fn declared_version(storage: StorageId, files: &[DeclaredFile]) -> VersionId {
    let targets: Vec<Option<String>> = files
        .iter()
        .map(|file| {
            file.link_target
                .as_ref()
                .map(|target| hex::encode(Sha256::digest(target)))
        })
        .collect();
    let entries = files
        .iter()
        .zip(&targets)
        .map(|(file, target)| match target {
            Some(hash) => VersionEntry {
                path: &file.path,
                hash,
                kind: EntryKind::Symlink,
            },
            None => VersionEntry {
                path: &file.path,
                hash: hash(file).unwrap_or_default(),
                kind: if file.executable == Some(true) {
                    EntryKind::Executable
                } else {
                    EntryKind::Plain
                },
            },
        });
    version_id(storage, entries)
}

fn check_files(files: &[DeclaredFile]) -> Result<(), ApiError> {
    let fault = |index: usize, field: &str, why: &dyn std::fmt::Display| {
        let path = format!("files.{index}.{field}");
        ApiError::invalid(path.clone(), format!("{path} {why}"))
    };
    for (index, file) in files.iter().enumerate() {
        if let Some(target) = &file.link_target {
            validate_link_target(target).map_err(|error| fault(index, "link_target", &error))?;
            if file.executable == Some(true) {
                return Err(fault(
                    index,
                    "executable",
                    &"must not be true for a symlink",
                ));
            }
            if file.size != 0 {
                return Err(fault(index, "size", &"must be 0 for a symlink"));
            }
            let digest = hex::encode(Sha256::digest(target));
            if hash(file).is_some_and(|hash| hash != digest) {
                return Err(fault(index, "hash", &"must be the SHA-256 of link_target"));
            }
        }
        if hash(file).is_some_and(|hash| hash.parse::<ContentHash>().is_err()) {
            return Err(fault(index, "hash", &"must be a SHA-256 in lowercase hex"));
        }
    }
    validate_file_set(files.iter().map(|file| file.path.as_str())).map_err(|error| {
        let why = match &error.fault {
            FileSetFault::Path(path) => path.to_string(),
            other => other.to_string(),
        };
        fault(error.index, "path", &why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> DeclaredFile {
        DeclaredFile {
            path: path.to_owned(),
            size: 0,
            hash: None,
            executable: None,
            link_target: None,
        }
    }

    fn param(files: &[DeclaredFile]) -> String {
        check_files(files).unwrap_err().param.unwrap()
    }

    #[test]
    fn a_fault_of_a_declaration_names_file_and_field() {
        let link = |target: &str| DeclaredFile {
            link_target: Some(target.to_owned()),
            ..file("l")
        };
        assert_eq!(param(&[file("a"), file("../b")]), "files.1.path");
        assert_eq!(param(&[file("a"), file("a")]), "files.1.path");
        assert_eq!(param(&[file("a/b"), file("a")]), "files.0.path");
        assert_eq!(
            param(&[DeclaredFile {
                hash: Some("AB".into()),
                ..file("a")
            }]),
            "files.0.hash"
        );
        assert_eq!(param(&[link("")]), "files.0.link_target");
        assert_eq!(
            param(&[DeclaredFile {
                executable: Some(true),
                ..link("x")
            }]),
            "files.0.executable"
        );
        assert_eq!(
            param(&[DeclaredFile {
                size: 1,
                ..link("x")
            }]),
            "files.0.size"
        );
        assert_eq!(
            param(&[DeclaredFile {
                hash: Some("0".repeat(64)),
                ..link("x")
            }]),
            "files.0.hash"
        );
        assert!(check_files(&[link("/etc/passwd"), file("a/b")]).is_ok());
    }

    #[test]
    fn declared_versions_have_the_ids_of_the_specification() {
        let storage = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let id = |files: &[DeclaredFile]| declared_version(storage, files).to_string();
        let link = DeclaredFile {
            link_target: Some("a.txt".into()),
            ..file("latest.txt")
        };
        assert_eq!(
            id(&[]),
            "393644ae9a37e84acc2438115b9777ac35fc282f5f76485b4471f3aadd881939"
        );
        assert_eq!(
            id(&[file("a.txt")]),
            "ca7afbedcb463af43cb2fa235041f583ece9d71ddbcd4cfcceb1f7c1fc7a83ce"
        );
        assert_eq!(
            id(&[link]),
            "ff54c5d2a2ad67e2a318c2dd953388459bb4f8dde9d538329beb268ba5021740"
        );
    }

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
