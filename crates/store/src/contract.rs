//! What every database backend promises. One method is one transaction: it is durable when it
//! returns, and after an error or a cancellation either all of it happened or nothing.
//!
//! `user` arguments scope a method: what belongs to another user is as good as absent. Times are
//! given by the caller; the store has no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use vm0_model::event::{Event, LogEntry, MetricSample, NewEvent};
use vm0_model::{
    AgentId, CheckpointId, Epoch, RunId, RunStatus, ScheduleId, SessionId, StorageId, StorageKind,
    Timestamp, TokenId, UserId, VersionId,
};

use crate::error::StoreError;
use crate::record::{
    Acting, ActiveRuns, AgentDeleteOutcome, AgentPut, AgentPutOutcome, AgentRecord,
    AgentVersionRecord, Appended, AuditAction, AuditRecord, CheckpointRecord, ClaimedRun,
    DeviceCreateOutcome, DeviceDecideOutcome, DeviceDecision, DeviceRecord, DeviceRedeem,
    DeviceRedeemOutcome, Key, Leased, ListPage, LogFilter, NewDevice, NewPageSession, NewRun,
    NewSignInLink, PageSessionRecord, PutOutcome, References, RunCancelOutcome, RunCreateOutcome,
    RunFilter, RunFinish, RunNetwork, RunNetworkOutcome, RunNetworkPut, RunRecord, RunSalvage,
    ScheduleAdvance, ScheduleCreateOutcome, ScheduleRecord, SealedSecret, SecretPut, SecretRecord,
    SessionFilter, SessionRecord, SignInLinkOutcome, SignInLinkRecord, SignInLinkUse,
    StorageCommit, StorageCommitOutcome, StorageRecord, StorageVersionRecord, StoredLog, Telemetry,
    TokenRecord, UploadRecord, UserRecord, UserTokenRecord, VariablePut, VariableRecord,
};

type Result<T> = std::result::Result<T, StoreError>;

/// The whole store.
pub trait Store:
    UserStore
    + DeviceStore
    + SignInStore
    + SecretStore
    + VariableStore
    + AgentStore
    + ScheduleStore
    + StorageStore
    + RunStore
    + RunNetworkStore
    + EventStore
    + SessionStore
    + GarbageStore
    + MonitorStore
    + AuditStore
{
}
impl<T> Store for T where
    T: UserStore
        + DeviceStore
        + SignInStore
        + SecretStore
        + VariableStore
        + AgentStore
        + ScheduleStore
        + StorageStore
        + RunStore
        + RunNetworkStore
        + EventStore
        + SessionStore
        + GarbageStore
        + MonitorStore
        + AuditStore
{
}

/// Users and tokens.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// The user with this name, made with `id` if there is none.
    async fn user_ensure(&self, id: UserId, name: &str, now: Timestamp) -> Result<UserRecord>;
    /// Whether there is any user.
    async fn user_any(&self) -> Result<bool>;
    /// Records a token.
    async fn token_create(&self, token: TokenRecord) -> Result<()>;
    /// The token with this hash, expired or not.
    async fn token_find(&self, hash: &str) -> Result<Option<TokenRecord>>;
    /// The tokens of a user, newest first, expired ones included.
    async fn token_list(&self, user: UserId, page: ListPage) -> Result<Vec<UserTokenRecord>>;
    /// A token of a user, expired or not.
    async fn token_view(&self, user: UserId, id: TokenId) -> Result<Option<UserTokenRecord>>;
    /// Deletes a token of a user; whether there was one.
    async fn token_delete(&self, user: UserId, id: TokenId) -> Result<bool>;
    /// Records when tokens were used, unless a later use is recorded. Tokens that are gone are
    /// left out.
    async fn token_touch(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<()>;
}

/// Programs that ask to sign in (RFC 8628). Codes come hashed.
#[async_trait]
pub trait DeviceStore: Send + Sync + 'static {
    /// Lets a program ask, unless too many do.
    async fn device_create(&self, device: NewDevice) -> Result<DeviceCreateOutcome>;
    /// The program whose user code hashes to this, whatever became of it.
    async fn device_view(&self, user_code_hash: &str) -> Result<Option<DeviceRecord>>;
    /// Decides about a program, if its code is still open.
    async fn device_decide(&self, decision: DeviceDecision) -> Result<DeviceDecideOutcome>;
    /// Records a poll. The first one of an approved code that is not too soon also records the
    /// token, of the user who approved; no other does.
    async fn device_redeem(&self, redeem: DeviceRedeem) -> Result<DeviceRedeemOutcome>;
}

/// Links and sessions of the server's pages. Their secrets come hashed.
#[async_trait]
pub trait SignInStore: Send + Sync + 'static {
    /// Records a link, in the place of the oldest if its user has too many. That for the first
    /// user takes the place of all others for it; `false` if there is a user.
    async fn sign_in_link_create(&self, link: NewSignInLink) -> Result<bool>;
    /// A link, used, expired or not.
    async fn sign_in_link_view(&self, hash: &str) -> Result<Option<SignInLinkRecord>>;
    /// Uses a link, once: makes the first user if it is for that one, and begins the session.
    async fn sign_in_link_use(&self, link: SignInLinkUse) -> Result<SignInLinkOutcome>;
    /// Begins a session, in the place of the oldest if its user has too many.
    async fn page_session_create(&self, session: NewPageSession) -> Result<()>;
    /// A session, expired or not. One that began with a token is gone when the token is.
    async fn page_session_find(&self, hash: &str) -> Result<Option<PageSessionRecord>>;
    /// Ends a session; whether there was one.
    async fn page_session_delete(&self, hash: &str) -> Result<bool>;
    /// Removes device codes, links and sessions that expired before this time; how many.
    async fn sign_in_expire(&self, before: Timestamp) -> Result<u64>;
}

/// Stored secrets. Values come and go encrypted.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// Stores a secret under its name.
    async fn secret_put(&self, put: SecretPut) -> Result<PutOutcome<SecretRecord>>;
    /// The secrets of a user, newest first, of one time by name, descending.
    async fn secret_list(&self, user: UserId, page: ListPage) -> Result<Vec<SecretRecord>>;
    /// A secret.
    async fn secret_view(&self, user: UserId, name: &str) -> Result<Option<SecretRecord>>;
    /// Deletes a secret; whether there was one.
    async fn secret_delete(&self, user: UserId, name: &str) -> Result<bool>;
    /// The values of those of the named secrets that are stored, all as they were at one time.
    async fn secret_find(
        &self,
        user: UserId,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<u8>>>;
    /// At most `limit` secrets of anyone: none if and only if none is stored.
    async fn secret_sample(&self, limit: u32) -> Result<Vec<SealedSecret>>;
}

/// Stored variables.
#[async_trait]
pub trait VariableStore: Send + Sync + 'static {
    /// Stores a variable under its name.
    async fn variable_put(&self, put: VariablePut) -> Result<PutOutcome<VariableRecord>>;
    /// The variables of a user, newest first, of one time by name, descending.
    async fn variable_list(&self, user: UserId, page: ListPage) -> Result<Vec<VariableRecord>>;
    /// A variable.
    async fn variable_view(&self, user: UserId, name: &str) -> Result<Option<VariableRecord>>;
    /// Deletes a variable; whether there was one.
    async fn variable_delete(&self, user: UserId, name: &str) -> Result<bool>;
    /// The values of those of the named variables that are stored, all as they were at one time.
    async fn variable_find(
        &self,
        user: UserId,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>>;
}

/// Schedules.
#[async_trait]
pub trait ScheduleStore: Send + Sync + 'static {
    /// Stores a schedule of an agent that the user has, unless the user has `limit` already.
    async fn schedule_create(
        &self,
        schedule: ScheduleRecord,
        limit: u32,
    ) -> Result<ScheduleCreateOutcome>;
    /// The schedules of a user, newest first.
    async fn schedule_list(&self, user: UserId, page: ListPage) -> Result<Vec<ScheduleRecord>>;
    /// A schedule.
    async fn schedule_view(&self, user: UserId, id: ScheduleId) -> Result<Option<ScheduleRecord>>;
    /// Switches a schedule on, if there is a next time, or off. One that is so already stays as it is.
    async fn schedule_switch(
        &self,
        user: UserId,
        id: ScheduleId,
        next_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<ScheduleRecord>>;
    /// Deletes a schedule; whether there was one.
    async fn schedule_delete(&self, user: UserId, id: ScheduleId) -> Result<bool>;
    /// The schedules of all users that are due, with their owners, the longest due first.
    async fn schedule_list_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserRecord, ScheduleRecord)>>;
    /// Records what became of an occurrence, unless the schedule is not due at that time any more;
    /// whether it was.
    async fn schedule_advance(&self, advance: ScheduleAdvance) -> Result<bool>;
}

/// Agents and their versions.
#[async_trait]
pub trait AgentStore: Send + Sync + 'static {
    /// Makes a configuration the head of an agent.
    async fn agent_put(&self, put: AgentPut) -> Result<AgentPutOutcome>;
    /// Removes an agent and its versions, unless it has a pending or running run. What its runs,
    /// sessions and checkpoints say of it stays.
    async fn agent_delete(&self, user: UserId, id: AgentId) -> Result<AgentDeleteOutcome>;
    /// The agents of a user, newest first.
    async fn agent_list(
        &self,
        user: UserId,
        name: Option<&str>,
        page: ListPage,
    ) -> Result<Vec<AgentRecord>>;
    /// An agent with its head.
    async fn agent_view(
        &self,
        user: UserId,
        key: &Key<AgentId>,
    ) -> Result<Option<(AgentRecord, AgentVersionRecord)>>;
    /// Versions, highest number first, below `before` if given: `limit + 1` of them.
    async fn agent_version_list(
        &self,
        agent: AgentId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AgentVersionRecord>>;
    /// At most two versions whose id begins with `prefix` (lowercase hex).
    async fn agent_version_match(
        &self,
        agent: AgentId,
        prefix: &str,
    ) -> Result<Vec<AgentVersionRecord>>;
}

/// Volumes, artifacts, their versions and uploads.
#[async_trait]
pub trait StorageStore: Send + Sync + 'static {
    /// Makes a storage without versions; `None` if the name is taken.
    async fn storage_create(&self, storage: StorageRecord) -> Result<Option<StorageRecord>>;
    /// Removes a storage with its versions and upload sessions. The ids of the sessions, whose
    /// objects are the caller's to remove; `None` if there is no such storage. Runs keep what they
    /// say of it.
    async fn storage_delete(
        &self,
        user: UserId,
        kind: StorageKind,
        id: StorageId,
    ) -> Result<Option<Vec<String>>>;
    /// The storages of a user and kind, newest first.
    async fn storage_list(
        &self,
        user: UserId,
        kind: StorageKind,
        name: Option<&str>,
        page: ListPage,
    ) -> Result<Vec<StorageRecord>>;
    /// A storage with its head.
    async fn storage_view(
        &self,
        user: UserId,
        kind: StorageKind,
        key: &Key<StorageId>,
    ) -> Result<Option<StorageRecord>>;
    /// Versions, newest first.
    async fn storage_version_list(
        &self,
        storage: StorageId,
        page: ListPage,
    ) -> Result<Vec<StorageVersionRecord>>;
    /// At most two versions whose id begins with `prefix` (lowercase hex).
    async fn storage_version_match(
        &self,
        storage: StorageId,
        prefix: &str,
    ) -> Result<Vec<StorageVersionRecord>>;
    /// Records a version and makes it the head.
    async fn storage_commit(&self, commit: StorageCommit) -> Result<StorageCommitOutcome>;
    /// Records an upload session; `false` if its storage is gone.
    async fn upload_create(&self, upload: UploadRecord) -> Result<bool>;
    /// An upload session, expired or not.
    async fn upload_view(&self, id: &str) -> Result<Option<UploadRecord>>;
    /// An upload session of a storage whose id begins with `prefix`, that is not committed and
    /// valid until after `valid_until`.
    async fn upload_find(
        &self,
        storage: StorageId,
        prefix: &str,
        valid_until: Timestamp,
    ) -> Result<Option<UploadRecord>>;
    /// Removes at most `limit` upload sessions that expired before `now`, and returns their ids.
    async fn upload_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<String>>;
}

/// Runs and the queue.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Creates a run, and its artifact if there is none of that name.
    async fn run_create(&self, run: NewRun) -> Result<RunCreateOutcome>;
    /// The run that was created with this idempotency key since `since`, and its body digest.
    async fn run_find_idempotent(
        &self,
        user: UserId,
        key: &str,
        since: Timestamp,
    ) -> Result<Option<(RunRecord, String)>>;
    /// Pending and running runs of a user.
    async fn run_count_active(&self, user: UserId) -> Result<u32>;
    /// Runs of a user, newest first.
    async fn run_list(
        &self,
        user: UserId,
        filter: &RunFilter,
        page: ListPage,
    ) -> Result<Vec<RunRecord>>;
    /// A run of this user, or of any if `None`.
    async fn run_view(&self, user: Option<UserId>, id: RunId) -> Result<Option<RunRecord>>;
    /// Cancels a pending or running run.
    async fn run_cancel(&self, user: UserId, id: RunId, now: Timestamp)
    -> Result<RunCancelOutcome>;
    /// Takes the oldest pending run: it becomes `running` with the next epoch, its `latest`
    /// references become exact, and its sealed values are handed out and deleted.
    async fn run_claim(
        &self,
        runner: &str,
        sandbox: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<ClaimedRun>>;
    /// Prolongs a lease. The lease of a run that ended keeps its epoch, for salvage.
    async fn run_renew(
        &self,
        id: RunId,
        epoch: Epoch,
        expires_at: Timestamp,
    ) -> Result<Leased<RunStatus>>;
    /// Records that the agent process has started.
    async fn run_started(
        &self,
        id: RunId,
        epoch: Epoch,
        sandbox: &str,
        sandbox_ready_ms: i64,
    ) -> Result<Leased<RunStatus>>;
    /// Ends a run: state, version, checkpoint and session in one transaction. A run that is
    /// terminal already keeps its state; artifact and usage are then recorded as salvaged. A repeated
    /// report changes nothing. [`StoreError::ArtifactMoved`], and nothing written, if another storage
    /// has the name of the artifact by now.
    async fn run_finish(&self, finish: RunFinish) -> Result<Leased<RunRecord>>;
    /// Adds what was salvaged to a run that ended without completing; what is known stays.
    async fn run_salvage(&self, salvage: RunSalvage) -> Result<Leased<RunRecord>>;
    /// Ends running runs whose lease expired as `timeout`, `runner lost for 120 s`.
    async fn run_expire(&self, now: Timestamp) -> Result<Vec<RunId>>;
}

/// Network policies that are changed while their runs wait or go on.
#[async_trait]
pub trait RunNetworkStore: Send + Sync + 'static {
    /// Replaces the policy of a pending or running run.
    async fn run_network_put(&self, put: RunNetworkPut) -> Result<RunNetworkOutcome>;
    /// What took the place of the configuration's policy, if anything did.
    async fn run_network_view(&self, run: RunId) -> Result<Option<RunNetwork>>;
}

/// Events, logs and metrics of runs.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends events, giving each the next `seq` and its `sequenceNumber`. The part of a batch
    /// that is recorded already is skipped; a batch that begins after the end is not recorded.
    async fn event_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        events: Vec<NewEvent>,
    ) -> Result<Leased<Appended>>;
    /// Events with a greater `seq`, ascending, at most `limit`.
    async fn event_list(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Event>>;
    /// Appends log entries, as events; also to a terminal run.
    async fn log_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        entries: Vec<LogEntry>,
    ) -> Result<Leased<Appended>>;
    /// Log entries and events merged by time.
    async fn log_list(&self, run: RunId, filter: &LogFilter) -> Result<Vec<StoredLog>>;
    /// Appends samples, as events; also to a terminal run.
    async fn metric_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        samples: Vec<MetricSample>,
    ) -> Result<Leased<Appended>>;
    /// All samples of a run, ascending.
    async fn metric_list(&self, run: RunId) -> Result<Vec<MetricSample>>;
}

/// Sessions and checkpoints.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// The sessions of a user, newest first.
    async fn session_list(
        &self,
        user: UserId,
        filter: &SessionFilter,
        page: ListPage,
    ) -> Result<Vec<SessionRecord>>;
    /// A session.
    async fn session_view(&self, user: UserId, id: SessionId) -> Result<Option<SessionRecord>>;
    /// A checkpoint.
    async fn checkpoint_view(
        &self,
        user: UserId,
        id: CheckpointId,
    ) -> Result<Option<CheckpointRecord>>;
}

/// What a garbage collection asks and removes.
#[async_trait]
pub trait GarbageStore: Send + Sync + 'static {
    /// All that rows refer to outside of the database, as of one moment.
    async fn references(&self) -> Result<References>;
    /// Runs that ended before this time, in the order of their ids, after this one.
    async fn run_list_ended(
        &self,
        before: Timestamp,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<RunId>>;
    /// How much a run's events, logs and samples are.
    async fn telemetry_view(&self, run: RunId) -> Result<Telemetry>;
    /// Removes at most `limit` of a run's events, log entries and samples, oldest first; how many.
    async fn telemetry_remove(&self, run: RunId, limit: u32) -> Result<u64>;
    /// Salvaged versions stored before this time that are no head and that neither a checkpoint
    /// nor an active run names.
    async fn salvaged_list(&self, before: Timestamp) -> Result<Vec<StorageVersionRecord>>;
    /// Removes a version if it still is one of those; whether it was.
    async fn salvaged_remove(
        &self,
        storage: StorageId,
        version: VersionId,
        before: Timestamp,
    ) -> Result<bool>;
}

/// What an operator watches.
#[async_trait]
pub trait MonitorStore: Send + Sync + 'static {
    /// Pending and running runs of all users.
    async fn run_count_all(&self) -> Result<ActiveRuns>;
    /// Transactions that wait to be written.
    fn write_queue(&self) -> u64;
}

/// The record of administrative actions. Lines are appended and never changed or removed.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// The same store for one who acts: what the methods of the handle do that is an
    /// [`AuditAction`] leaves a line, in the same transaction. What does not happen leaves none.
    fn acting(&self, by: Acting) -> Arc<dyn Store>;
    /// Writes a line about what happens outside of the store. To be called on a handle of
    /// [`AuditStore::acting`].
    async fn audit_note(&self, action: AuditAction, object: String) -> Result<()>;
    /// Lines since this time and after that one, the oldest first.
    async fn audit_list(
        &self,
        since: Timestamp,
        after: Option<(Timestamp, u64)>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>>;
}
