//! What the store keeps, as plain records.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vm0_model::event::{LogEntry, LogKind, LogLevel};
use vm0_model::id::{HistoryId, IdError};
use vm0_model::wire::runner::{Conversation, TokenTotal};
use vm0_model::wire::runs::Usage;
use vm0_model::{
    AgentId, AgentVersionId, CheckpointId, Epoch, Lease, ManifestId, RunId, RunStatus, SessionId,
    StorageId, StorageKind, Timestamp, TokenId, UserId, VersionId,
};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub name: String,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOwner {
    /// A user of the public API, with the user's name.
    User(UserRecord),
    /// A runner, by name.
    Runner(String),
}

/// A token; the token itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Whom it speaks for.
    pub owner: TokenOwner,
    /// Its label.
    pub name: String,
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// What may be shown of it.
    pub prefix: String,
    /// When it stops to be valid; runner tokens never do.
    pub expires_at: Option<Timestamp>,
    /// When it was used last.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token of a user as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Its label.
    pub name: String,
    /// What may be shown of it.
    pub prefix: String,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
    /// When it was used last, as far as that is recorded.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A secret to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPut {
    /// The owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its value, encrypted.
    pub sealed: Vec<u8>,
    /// The present time.
    pub now: Timestamp,
}

/// A stored secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its name.
    pub name: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// The encrypted value of a secret, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The owner.
    pub user_id: UserId,
    /// The name of the secret.
    pub name: String,
    /// Its value, encrypted.
    pub sealed: Vec<u8>,
}

/// A variable to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariablePut {
    /// The owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The present time.
    pub now: Timestamp,
}

/// A stored variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableRecord {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When its value was stored last.
    pub updated_at: Timestamp,
}

/// What became of a value to store under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome<T> {
    /// There was none of the name.
    Created(T),
    /// It took the place of an earlier one, which keeps its time of creation.
    Replaced(T),
}

impl<T> PutOutcome<T> {
    /// The same outcome with another form of what is stored.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> PutOutcome<U> {
        match self {
            Self::Created(record) => PutOutcome::Created(convert(record)),
            Self::Replaced(record) => PutOutcome::Replaced(convert(record)),
        }
    }
}

/// Position in a list ordered by creation time and then id, both descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// `created_at` of the last item shown.
    pub created_at: Timestamp,
    /// Id of the last item shown, as text; its name, of items that have no id.
    pub id: String,
}

/// A page to read: `limit + 1` items are returned if there are so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Items wanted.
    pub limit: u32,
    /// The position after which the page begins.
    pub after: Option<ListPosition>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub id: AgentId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name, lower case.
    pub name: String,
    /// `description` of the head's configuration.
    pub description: Option<String>,
    /// The head.
    pub head: AgentVersionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the head changed last.
    pub updated_at: Timestamp,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentVersionRecord {
    /// Its id.
    pub id: AgentVersionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// 1, 2, 3, … within the agent.
    pub number: i64,
    /// The stored configuration as JSON text.
    pub config: String,
    /// Its message.
    pub message: Option<String>,
    /// Name of the user who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a resource is named by a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<Id> {
    /// By id.
    Id(Id),
    /// By name.
    Name(String),
}

/// A configuration to make the head of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPut {
    /// The owner.
    pub user: UserRecord,
    /// `Id`: this agent, which must have the name `name`. `Name`: found or made.
    pub key: Key<AgentId>,
    /// The name in the configuration.
    pub name: String,
    /// Id of the agent, if it is made.
    pub new_id: AgentId,
    /// Id of the configuration.
    pub version_id: AgentVersionId,
    /// The configuration as JSON text.
    pub config: String,
    /// Its description.
    pub description: Option<String>,
    /// Kept if a version is made.
    pub message: Option<String>,
    /// The present time.
    pub now: Timestamp,
}

/// What became of an [`AgentPut`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for a request and taken apart at once"
)]
pub enum AgentPutOutcome {
    /// The agent and its head.
    Done {
        /// The agent.
        agent: AgentRecord,
        /// Its head.
        version: AgentVersionRecord,
        /// Whether agent or version were made.
        action: vm0_model::wire::agents::AgentAction,
    },
    /// No such agent of this user.
    NotFound,
    /// The agent has another name.
    NameMismatch,
}

/// What became of the removal of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentDeleteOutcome {
    /// It is gone.
    Deleted,
    /// It has pending or running runs.
    ActiveRuns,
    /// No such agent of this user.
    NotFound,
}

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

/// A reference to a version of a storage that a run uses; stored as `latest` or the version's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionWanted {
    /// The head at the start of the run.
    Latest,
    /// Exactly this one.
    Exact(VersionId),
}

impl FromStr for VersionWanted {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "latest" => Ok(Self::Latest),
            id => id.parse().map(Self::Exact),
        }
    }
}

impl TryFrom<String> for VersionWanted {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<VersionWanted> for String {
    fn from(wanted: VersionWanted) -> Self {
        match wanted {
            VersionWanted::Latest => "latest".to_owned(),
            VersionWanted::Exact(id) => id.to_string(),
        }
    }
}

/// A volume that a run mounts; stored as JSON with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunVolume {
    /// Its key in the configuration.
    pub key: String,
    /// Where it appears.
    pub path: String,
    /// Name of the storage.
    pub name: String,
    /// The storage, as found when the run was created.
    pub storage_id: StorageId,
    /// Which version.
    pub wanted: VersionWanted,
    /// The reference that a continued run inherits, as it was given; `None` if it comes from the
    /// configuration.
    pub given: Option<String>,
    /// Left out if it is missing.
    pub optional: bool,
}

/// The artifact of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArtifact {
    /// Its name; it is created with the run, and again when it is gone.
    pub name: String,
    /// Which version.
    pub wanted: VersionWanted,
    /// The reference as the run shows it while it is pending; `None` if none was given or
    /// inherited.
    pub shown: Option<String>,
}

/// A run to create. The app has resolved every reference; the store checks again, in one
/// transaction, what may have changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent, which must still exist.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The agent version in effect.
    pub agent_version: AgentVersionId,
    /// What the agent is asked.
    pub prompt: String,
    /// Its deadline.
    pub timeout_seconds: u32,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// Sorted names of required secrets.
    pub secret_names: Vec<String>,
    /// Environment and secret values, sealed by the server; deleted when the run is claimed.
    pub sealed: Vec<u8>,
    /// Its artifact, if any, and the id for it if it must be made.
    pub artifact: Option<(RunArtifact, StorageId)>,
    /// Its volumes.
    pub volumes: Vec<RunVolume>,
    /// The session it continues; it must have no pending or running run.
    pub session_id: Option<SessionId>,
    /// The checkpoint whose conversation it resumes.
    pub resumed_checkpoint: Option<CheckpointId>,
    /// Idempotency key and digest of the canonical body.
    pub idempotency: Option<(String, String)>,
    /// Pending and running runs that the user may have; 0 means any number.
    pub concurrency_limit: u32,
    /// The present time.
    pub now: Timestamp,
}

/// What became of a [`NewRun`].
#[derive(Debug, Clone, PartialEq)]
pub enum RunCreateOutcome {
    /// It exists now.
    Created(RunRecord),
    /// The idempotency key and body are those of this run.
    Replayed(RunRecord),
    /// The idempotency key was used with another body.
    KeyReused,
    /// The user has as many runs as allowed.
    LimitReached,
    /// The session has a pending or running run.
    SessionBusy,
    /// The agent was deleted meanwhile.
    AgentGone,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The agent version used.
    pub agent_version: AgentVersionId,
    /// Its state.
    pub status: RunStatus,
    /// What the agent was asked.
    pub prompt: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became `running`.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub completed_at: Option<Timestamp>,
    /// Why it failed or timed out.
    pub error: Option<String>,
    /// Its deadline.
    pub timeout_seconds: u32,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// The checkpoint it left.
    pub checkpoint_id: Option<CheckpointId>,
    /// The session given, else the one it made.
    pub session_id: Option<SessionId>,
    /// The checkpoint it resumed.
    pub resumed_checkpoint: Option<CheckpointId>,
    /// Its artifact.
    pub artifact: Option<RunArtifact>,
    /// The version of the artifact it started from, from the claim on.
    pub artifact_base: Option<VersionId>,
    /// The version it saved.
    pub artifact_saved: Option<VersionId>,
    /// The version kept although it did not complete.
    pub artifact_salvaged: Option<VersionId>,
    /// Its volumes as created.
    pub volumes: Vec<RunVolume>,
    /// Exact versions by key, from the claim on.
    pub volume_versions: Option<BTreeMap<String, VersionId>>,
    /// The agent's final text.
    pub output: Option<String>,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// Kind of sandbox.
    pub sandbox: Option<String>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// From `started_at` to the start of the agent process.
    pub sandbox_ready_ms: Option<i64>,
    /// Events recorded.
    pub event_count: u64,
}

/// Which runs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Only this state.
    pub status: Option<RunStatus>,
    /// Only this agent.
    pub agent_id: Option<AgentId>,
    /// Only runs created at this time or later.
    pub since: Option<Timestamp>,
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for a request and taken apart at once"
)]
pub enum RunCancelOutcome {
    /// It is cancelled now.
    Cancelled(RunRecord),
    /// It had ended before.
    Terminal(RunStatus),
    /// No such run of this user.
    NotFound,
}

/// A claimed run with everything exact. The claim has made the artifact again if it was gone.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The run, now running.
    pub run: RunRecord,
    /// The right to execute it.
    pub lease: Lease,
    /// The stored configuration of its agent version.
    pub config: String,
    /// Environment and secret values, deleted from the store with this claim.
    pub sealed: Vec<u8>,
    /// The artifact's storage and the version to start from.
    pub artifact: Option<(StorageId, Option<(VersionId, ManifestId)>)>,
    /// Volumes to mount, or what is missing.
    pub volumes: Vec<ClaimedVolume>,
    /// The conversation to resume.
    pub conversation: Option<Conversation>,
}

/// A volume of a claimed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedVolume {
    /// As created.
    pub volume: RunVolume,
    /// The exact version; `None` if there is none, which is a fault unless it is optional.
    pub version: Option<(VersionId, ManifestId)>,
}

/// A write under a lease was refused or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased<T> {
    /// Done.
    Done(T),
    /// The epoch is not the run's: nothing was written.
    Stale,
}

/// How far a run's events, logs or samples are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the next batch.
    pub next_offset: u64,
    /// How many of the batch were not recorded before.
    pub added: u64,
    /// State of the run. Nothing is appended to events of a terminal run.
    pub status: RunStatus,
}

/// Runs that have not ended, of all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRuns {
    /// Those that wait for a runner.
    pub pending: u64,
    /// Those that a runner has.
    pub running: u64,
}

/// The end of a run. Its objects are durable already.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFinish {
    /// The run.
    pub run_id: RunId,
    /// The lease's number.
    pub epoch: Epoch,
    /// `Completed`, `Failed` or `Timeout`.
    pub status: RunStatus,
    /// Why it did not complete.
    pub error: Option<String>,
    /// Exit code of the agent process.
    pub exit_code: Option<i32>,
    /// The agent's final text.
    pub output: Option<String>,
    /// What the model consumed.
    pub usage: Option<Usage>,
    /// The saved workspace: the head if completed, else salvaged.
    pub artifact: Option<SavedVersion>,
    /// Made if it completed.
    pub checkpoint: Option<NewCheckpoint>,
    /// The present time.
    pub now: Timestamp,
}

/// A workspace to record as a version of the run's artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedVersion {
    /// The storage, as claimed; made again under the run's artifact name if it is gone.
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

/// A checkpoint to make with a completed run; session, agent and volumes are those of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckpoint {
    /// Its id.
    pub id: CheckpointId,
    /// Id of the session, if one is made.
    pub new_session_id: SessionId,
    /// The conversation.
    pub conversation: Conversation,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Its id.
    pub id: CheckpointId,
    /// Its owner.
    pub user_id: UserId,
    /// The run that left it.
    pub run_id: RunId,
    /// The session that the run belongs to.
    pub session_id: SessionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// The pinned version.
    pub agent_version: AgentVersionId,
    /// Variables in effect.
    pub variables: BTreeMap<String, String>,
    /// Sorted names of required secrets.
    pub secret_names: Vec<String>,
    /// Name of the saved workspace.
    pub artifact_name: Option<String>,
    /// Version of the saved workspace.
    pub artifact_version: Option<VersionId>,
    /// The mounted volumes.
    pub volume_versions: BTreeMap<String, VersionId>,
    /// References given to (or inherited by) the run, which a continued run inherits.
    pub volumes_given: BTreeMap<String, String>,
    /// The framework that made the conversation.
    pub framework: String,
    /// The framework's session id.
    pub agent_session_id: String,
    /// Its saved files.
    pub history: Option<HistoryId>,
    /// The working directory in which it was made.
    pub working_dir: String,
    /// Tokens of the whole thread.
    pub token_total: Option<TokenTotal>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// Its owner.
    pub user_id: UserId,
    /// Its agent.
    pub agent_id: AgentId,
    /// Name of its agent.
    pub agent_name: String,
    /// Artifact of the last completed run.
    pub artifact_name: Option<String>,
    /// The last completed run.
    pub last_run_id: RunId,
    /// Its checkpoint.
    pub last_checkpoint_id: CheckpointId,
    /// The pending or running run on it.
    pub active_run_id: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a run on it completed last.
    pub updated_at: Timestamp,
}

/// Which sessions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// Only this agent, which may be deleted.
    pub agent_id: Option<AgentId>,
}

/// A stored log entry with its place in the run's log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLog {
    /// Order of arrival within the run, from 1.
    pub seq: u64,
    /// The entry; agent entries are made of events.
    pub entry: LogEntry,
}

/// Which log entries to list, in the order of `(timestamp, arrival)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Only this log; agent entries are events, all of level info.
    pub kind: Option<LogKind>,
    /// Only this level.
    pub level: Option<LogLevel>,
    /// Inclusive bounds.
    pub since: Option<Timestamp>,
    /// Inclusive bounds.
    pub until: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
    /// The position after which the page begins.
    pub after: Option<LogPosition>,
    /// `limit + 1` entries are returned if there are so many.
    pub limit: u32,
}

/// A position in a run's merged log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Timestamp of the last entry shown.
    pub timestamp: Timestamp,
    /// Its place among entries of one timestamp: `None` stands after (before, if descending) all
    /// of them.
    pub seq: Option<(LogKind, u64)>,
}

/// All that rows refer to outside of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Of the versions of storages.
    pub manifests: HashSet<ManifestId>,
    /// Of checkpoints.
    pub histories: HashSet<HistoryId>,
    /// Upload sessions, by their names among the objects.
    pub uploads: HashSet<String>,
    /// When the oldest of the running runs started.
    pub oldest_running: Option<Timestamp>,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much a run's telemetry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// Its events.
    pub events: Extent,
    /// Its log entries, without the events.
    pub logs: Extent,
    /// Its samples.
    pub metrics: Extent,
}
