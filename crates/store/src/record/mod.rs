//! What the store keeps, as plain records.

mod agents;
mod audit;
mod claims;
mod devices;
mod garbage;
mod logs;
mod networks;
mod pages;
mod runs;
mod schedules;
mod sessions;
mod sign_in;
mod storages;
mod users;
mod values;

pub use agents::{AgentDeleteOutcome, AgentPut, AgentPutOutcome, AgentRecord, AgentVersionRecord};
pub use audit::{Acting, AuditAction, AuditActionError, AuditRecord};
pub use claims::{ActiveRuns, Appended, ClaimedRun, ClaimedVolume, Leased};
pub use devices::{
    DeviceCreateOutcome, DeviceDecideOutcome, DeviceDecision, DeviceRecord, DeviceRedeem,
    DeviceRedeemOutcome, DeviceTokenRecord, NewDevice,
};
pub use garbage::{Extent, References, Telemetry};
pub use logs::{LogFilter, LogPosition, StoredLog};
pub use networks::{RunNetwork, RunNetworkOutcome, RunNetworkPut};
pub use pages::{Key, ListPage, ListPosition};
pub use runs::{
    NewRun, RunArtifact, RunCancelOutcome, RunCreateOutcome, RunFilter, RunFinish, RunRecord,
    RunSalvage, RunVolume, VersionWanted,
};
pub use schedules::{ScheduleAdvance, ScheduleCreateOutcome, ScheduleRecord};
pub use sessions::{CheckpointRecord, NewCheckpoint, SessionFilter, SessionRecord};
pub use sign_in::{
    NewPageSession, NewSignInLink, PageSessionRecord, SignInLinkOutcome, SignInLinkRecord,
    SignInLinkUse,
};
pub use storages::{
    SavedVersion, StorageCommit, StorageCommitOutcome, StorageRecord, StorageVersionRecord,
    UploadRecord,
};
pub use users::{TokenOwner, TokenRecord, UserRecord, UserTokenRecord};
pub use values::{PutOutcome, SealedSecret, SecretPut, SecretRecord, VariablePut, VariableRecord};
