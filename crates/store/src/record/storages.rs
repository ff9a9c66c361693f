//! Volumes, artifacts, their versions and uploads.

use vm0_model::{ManifestId, RunId, StorageId, StorageKind, Timestamp, UserId, VersionId};

/// A volume or artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRecord {
    /// Its id.
    pub id: StorageId,
    /// Its owner.
    pub user_id: UserId,
    /// Volume or artifact.
    pub kind: StorageKind,
    /// Its name.
    pub name: String,
    /// The head.
    pub head: Option<StorageVersionRecord>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the head changed last.
    pub updated_at: Timestamp,
}

/// A version of a volume or artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageVersionRecord {
    /// Its id.
    pub id: VersionId,
    /// Its storage.
    pub storage_id: StorageId,
    /// Where its entries are.
    pub manifest_id: ManifestId,
    /// Bytes of its regular files.
    pub size: u64,
    /// Its files and symlinks.
    pub file_count: u64,
    /// Its message.
    pub message: Option<String>,
    /// `user` or `run`.
    pub created_by: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The run that saved it first.
    pub run_id: Option<RunId>,
    /// Kept from a run that did not complete.
    pub salvaged: bool,
}

/// A version to record and make the head. Its objects are durable already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageCommit {
    /// The version; `created_at` is the present time. One with this id that exists already wins.
    pub version: StorageVersionRecord,
    /// If given, the head must equal it or already be the version.
    pub expected: Option<Option<VersionId>>,
    /// The upload session to mark as committed, in the same transaction.
    pub upload: Option<String>,
}

/// What became of a [`StorageCommit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageCommitOutcome {
    /// The version as it is recorded, now the head.
    Committed(StorageVersionRecord),
    /// The head is another.
    Conflict,
    /// The storage is gone.
    Gone,
}

/// An upload session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// `upload:<version id>:<uuid>`.
    pub id: String,
    /// The storage it is for.
    pub storage_id: StorageId,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The version it was committed as.
    pub committed: Option<VersionId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A workspace to record as a version of the run's artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedVersion {
    /// The storage; made again under the run's artifact name if it is gone.
    pub storage_id: StorageId,
    /// Its version.
    pub version_id: VersionId,
    /// Where its entries are.
    pub manifest_id: ManifestId,
    /// Bytes of its regular files.
    pub size: u64,
    /// Its files and symlinks.
    pub file_count: u64,
}
