//! Signed URLs: what they grant, how they are signed, and what is done under them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use vm0_blob::{ArchiveBody, BlobError, KeptArchive, UploadObject};
use vm0_model::{ApiError, ErrorCode, ManifestId, StorageId, VersionId, limits};

use super::context::App;
use super::error::AppError;
use crate::clock;

const PURPOSE: &str = "object url";
/// Headers of a small archive.
const ARCHIVE_HEADERS_BYTES: u64 = 64 << 10;
const MILLIS_PER_SECOND: i64 = 1000;

/// What a signed URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectGrant {
    /// To put an object of an upload session.
    Upload {
        /// The session's name in the object store.
        session: String,
        /// Which object.
        object: UploadObject,
    },
    /// To get the archive of a version.
    Archive {
        /// The storage.
        storage: StorageId,
        /// The version.
        version: VersionId,
        /// Where its entries are.
        manifest: ManifestId,
        /// What a browser calls the file.
        file_name: String,
    },
}

/// The version whose archive a signed URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArchiveOf {
    /// Its storage.
    pub(crate) storage: StorageId,
    /// The version.
    pub(crate) version: VersionId,
    /// Where its entries are.
    pub(crate) manifest: ManifestId,
}

/// A URL as it was called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedUrl<'a> {
    /// The method, `GET` for `HEAD`.
    pub(crate) method: &'a str,
    /// The path, as sent.
    pub(crate) path: &'a str,
    /// The query value `expires`.
    pub(crate) expires: Option<&'a str>,
    /// The query value `signature`.
    pub(crate) signature: Option<&'a str>,
}

impl ObjectGrant {
    fn method(&self) -> &'static str {
        match self {
            Self::Upload { .. } => "PUT",
            Self::Archive { .. } => "GET",
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Upload { session, object } => {
                format!("/objects/uploads/{session}/{}", object.file_name())
            }
            Self::Archive {
                storage,
                version,
                manifest,
                file_name,
            } => {
                let file_name = utf8_percent_encode(file_name, NON_ALPHANUMERIC);
                format!("/objects/archives/{storage}/{version}/{manifest}/{file_name}")
            }
        }
    }
}

/// Bytes of the archive of a version: what does not compress, and the headers of its members.
fn archive_max_bytes(version_max_bytes: u64) -> u64 {
    version_max_bytes
        .saturating_add(version_max_bytes / 16)
        .saturating_add(ARCHIVE_HEADERS_BYTES)
}

fn message(method: &str, path: &str, expires: &str) -> String {
    format!("{method}\n{path}\n{expires}")
}

impl App {
    /// The absolute URL that allows what `grant` says for an hour.
    pub(crate) fn sign_url(&self, grant: &ObjectGrant) -> String {
        let end = clock::after(clock::now(), limits::UPLOAD_SESSION_TTL);
        let expires = (end.millis() / MILLIS_PER_SECOND).to_string();
        let path = grant.path();
        let signature = self
            .keys
            .sign(PURPOSE, message(grant.method(), &path, &expires).as_bytes());
        let base = &self.settings.public_url;
        format!("{base}{path}?expires={expires}&signature={signature}")
    }

    /// Checks that a URL was signed here for this method and has not expired.
    pub(crate) fn check_signature(&self, url: SignedUrl<'_>) -> Result<(), ApiError> {
        let refused = |why| ApiError::new(ErrorCode::InvalidSignature, why);
        let expires = url.expires.unwrap_or_default();
        let message = message(url.method, url.path, expires);
        let signature = url.signature.unwrap_or_default();
        if !self.keys.verify(PURPOSE, message.as_bytes(), signature) {
            return Err(refused("The URL was altered"));
        }
        let expires: i64 = expires.parse().unwrap_or(0);
        if expires.saturating_mul(MILLIS_PER_SECOND) <= clock::now().millis() {
            return Err(refused("The URL has expired"));
        }
        Ok(())
    }

    /// Stores an object of an upload session.
    pub(crate) async fn object_put<S, E>(
        &self,
        session: &str,
        object: UploadObject,
        stream: S,
    ) -> Result<(), AppError>
    where
        S: futures::Stream<Item = Result<bytes::Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = match object {
            UploadObject::Archive => archive_max_bytes(self.settings.version_max_bytes),
            UploadObject::Part(_) => limits::UPLOAD_PART_MAX_BYTES,
            UploadObject::Manifest | UploadObject::Declaration | UploadObject::Base => {
                limits::MANIFEST_JSON_MAX_BYTES
            }
        };
        match self.blobs.upload_put(session, object, stream, limit).await {
            Ok(_) => Ok(()),
            Err(BlobError::TooLarge { limit, .. }) => {
                let message = format!("The object is larger than {limit} bytes");
                let error = ApiError::new(ErrorCode::PayloadTooLarge, message);
                Err(error.with_param("body").into())
            }
            Err(BlobError::Receive(_)) => {
                let message = "The request body did not arrive completely";
                Err(ApiError::invalid("body", message).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The whole archive of a version.
    pub(crate) async fn object_archive(&self, of: ArchiveOf) -> Result<ArchiveBody, AppError> {
        self.check_version(of).await?;
        Ok(self.archives.whole(&self.blobs, of.manifest).await?)
    }

    /// The archive of a version once it is finished, to read parts of it; `None` if it cannot be
    /// kept.
    pub(crate) async fn object_archive_finished(
        &self,
        of: ArchiveOf,
    ) -> Result<Option<KeptArchive>, AppError> {
        self.check_version(of).await?;
        Ok(self.archives.finished(&self.blobs, of.manifest).await?)
    }

    /// How many bytes the archive of a version has, if that is known without making it.
    pub(crate) async fn object_archive_size(&self, of: ArchiveOf) -> Result<Option<u64>, AppError> {
        self.check_version(of).await?;
        let kept = self.archives.find(of.manifest).await?;
        Ok(kept.map(|kept| kept.size()))
    }

    /// A URL outlives the version that it was signed for, if the storage is deleted.
    async fn check_version(&self, of: ArchiveOf) -> Result<(), AppError> {
        let id = of.version.to_string();
        let rows = self.store.storage_version_match(of.storage, &id).await?;
        if rows.is_empty() {
            return Err(ApiError::new(ErrorCode::ResourceNotFound, "The version is gone").into());
        }
        Ok(())
    }
}
