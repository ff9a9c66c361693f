//! Volumes and artifacts (API 8).

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{ContentHash, RunId, StorageId, VersionId};
use crate::storage::StorageKind;
use crate::time::Timestamp;

/// A volume or artifact as an item of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Storage {
    /// Its id.
    pub id: StorageId,
    /// Its name.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub name: String,
    /// The head: its current version.
    pub current_version_id: Option<VersionId>,
    /// Bytes of the head's regular files; 0 without a head.
    pub size: u64,
    /// Regular files and symlinks of the head; 0 without a head.
    pub file_count: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the head changed last.
    pub updated_at: Timestamp,
}

/// A volume or artifact in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageDetail {
    /// The list item.
    #[serde(flatten)]
    pub storage: Storage,
    /// The head.
    pub current_version: Option<StorageVersion>,
}

/// A version of a volume or artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageVersion {
    /// Its id.
    pub id: VersionId,
    /// Its volume; absent for artifacts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub volume_id: Option<StorageId>,
    /// Its artifact; absent for volumes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub artifact_id: Option<StorageId>,
    /// Bytes of its regular files.
    pub size: u64,
    /// Its files and symlinks.
    pub file_count: u64,
    /// Message of the commit; `Run <run id>` for a version saved by a run.
    pub message: Option<String>,
    /// `user` for a commit, `run` for a version saved by a run.
    pub created_by: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// What only artifacts have.
    #[serde(flatten)]
    #[schema(ignore)]
    pub artifact: Option<ArtifactFields>,
}

/// What only versions of artifacts have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ArtifactFields {
    /// The run that saved it first.
    pub run_id: Option<RunId>,
    /// Kept from a run that did not complete; false once a commit or a completed run makes the
    /// version the head.
    pub salvaged: bool,
}

/// The body of `POST /v1/volumes` and `/v1/artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageCreate {
    /// Its name.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub name: String,
}

/// The body of `POST …/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadCreate {
    /// What will be uploaded; may be empty.
    pub files: Vec<DeclaredFile>,
    /// Accepted without effect.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// Asks to send only what the server lacks, in parts. Then every file's `hash` and `executable`
    /// are required, and `chunks` of every file of at least 4 MiB.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    #[schema(value_type = Option<bool>)]
    pub parts: bool,
}

/// A declared file or symlink, in an upload request and in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeclaredFile {
    /// Path below the root of the version: relative, `/`-separated UTF-8 of at most 4096 bytes; no
    /// component empty, `.` or `..`; no NUL; not listed twice; not below another listed path.
    #[schema(min_length = 1)]
    pub path: String,
    /// Bytes; 0 for a symlink.
    pub size: u64,
    /// Lowercase hex SHA-256 of the content; absent or empty means undeclared. That of a symlink is
    /// of its target and need not be given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^([0-9a-f]{64})?$")]
    pub hash: Option<String>,
    /// The owner's execute bit. Given: the archive must agree. Absent: the archive decides, and the
    /// version id is provisional.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub executable: Option<bool>,
    /// Makes the entry a symlink: 1–4096 bytes, no NUL; not together with `executable: true`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(min_length = 1)]
    pub link_target: Option<String>,
    /// The pieces that the content consists of, in order; only for an upload in parts. Each but the
    /// last has at least 256 KiB. A file without them is one piece.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chunks: Option<Vec<DeclaredChunk>>,
}

/// A piece of a declared file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeclaredChunk {
    /// SHA-256 of its bytes.
    pub hash: ContentHash,
    /// How many there are: at most 4 MiB.
    #[schema(minimum = 1, maximum = 4_194_304)]
    pub size: u32,
}

/// The answer of `POST …/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadSession {
    /// `upload:<version id>:<uuid>`; or `existing:<version id>` if the content is a version here
    /// already.
    #[schema(pattern = "^(upload:[0-9a-f]{64}:[0-9a-f-]{36}|existing:[0-9a-f]{64})$")]
    pub upload_session_id: String,
    /// For `upload:` exactly two, `archive.tar.gz` then `manifest.json`; for `existing:`, and with
    /// `parts`, none.
    pub files: Vec<UploadTarget>,
    /// When session and URLs expire.
    pub expires_at: Timestamp,
    /// What is to be sent, if the request asked for parts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub parts: Option<Vec<UploadPart>>,
}

/// A part of an upload: chunks that the server lacks, and has not been sent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadPart {
    /// Absolute, opaque. `PUT` the part to it; it needs no authentication.
    pub upload_url: String,
    /// The chunks that the part holds, in this order.
    pub chunks: Vec<ContentHash>,
}

/// Where to put one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadTarget {
    /// `archive.tar.gz` or `manifest.json`.
    pub path: String,
    /// Absolute, opaque. `PUT` the object to it; it needs no authentication.
    pub upload_url: String,
    /// Opaque.
    pub upload_id: String,
}

/// `manifest.json` as a client uploads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadManifest {
    /// The version id that the upload answer named.
    pub version: String,
    /// When it was made.
    #[serde(rename = "createdAt")]
    pub created_at: Timestamp,
    /// Sum of all sizes.
    #[serde(rename = "totalSize")]
    pub total_size: u64,
    /// Number of entries.
    #[serde(rename = "fileCount")]
    pub file_count: u64,
    /// The declared entries.
    pub files: Vec<DeclaredFile>,
}

/// The body of `POST …/commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommitCreate {
    /// The session of the upload answer.
    #[schema(pattern = "^(upload|existing):")]
    pub upload_session_id: String,
    /// Kept with the version; empty means none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(max_length = 1000)]
    pub message: Option<String>,
    /// If present, the head must be this version (`null`: no head yet) or already the one being
    /// committed. Absent: the last commit wins.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "present"
    )]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub expected_version_id: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(input).map(Some)
}

impl StorageVersion {
    /// The storage that the version belongs to.
    pub fn storage_id(&self) -> Option<StorageId> {
        self.volume_id.or(self.artifact_id)
    }

    /// The kind of the storage that the version belongs to.
    pub fn kind(&self) -> StorageKind {
        if self.volume_id.is_some() {
            StorageKind::Volume
        } else {
            StorageKind::Artifact
        }
    }
}
