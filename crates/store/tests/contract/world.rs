//! A user with an agent, and the shortest way to the states that tests begin with.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;
use vm0_model::event::NewEvent;
use vm0_model::wire::runner::{Conversation, TokenTotal};
use vm0_model::{
    AgentId, AgentVersionId, CheckpointId, Epoch, ManifestId, RunId, RunStatus, SessionId,
    StorageId, StorageKind, Timestamp, UserId, VersionId,
};
use vm0_store::Store;
use vm0_store::record::{
    AgentPut, AgentPutOutcome, ClaimedRun, Key, Leased, ListPage, NewCheckpoint, NewRun,
    RunArtifact, RunCreateOutcome, RunFinish, RunRecord, RunSalvage, SavedVersion, StorageCommit,
    StorageRecord, StorageVersionRecord, UserRecord, VersionWanted,
};

use crate::contract::StoreFactory;

/// Milliseconds after the beginning of the tests' time.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

pub(crate) fn version(n: u8) -> VersionId {
    VersionId::from_digest([n; 32])
}

pub(crate) fn manifest(n: u8) -> ManifestId {
    ManifestId::from_digest([n; 32])
}

pub(crate) fn storage_id() -> StorageId {
    StorageId::from_uuid(Uuid::now_v7())
}

pub(crate) fn page(limit: u32) -> ListPage {
    ListPage { limit, after: None }
}

pub(crate) fn event(n: u64) -> NewEvent {
    NewEvent {
        timestamp: at(n as i64),
        kind: "assistant".into(),
        data: format!(r#"{{"type":"assistant","n":{n}}}"#),
    }
}

pub(crate) fn conversation(id: &str) -> Conversation {
    Conversation {
        framework: "claude-code".into(),
        agent_session_id: id.into(),
        history: None,
        working_dir: "/home/user/workspace".into(),
        token_total: Some(TokenTotal {
            input_tokens: 3,
            output_tokens: 4,
        }),
    }
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) user: UserRecord,
    pub(crate) agent: AgentId,
    pub(crate) agent_version: AgentVersionId,
}

impl World {
    pub(crate) async fn new(factory: &dyn StoreFactory) -> Self {
        Self::of(factory.open().await, "maria").await
    }

    pub(crate) async fn of(store: Arc<dyn Store>, name: &str) -> Self {
        let id = UserId::from_uuid(Uuid::now_v7());
        let user = store.user_ensure(id, name, at(0)).await.unwrap();
        let agent = AgentId::from_uuid(Uuid::now_v7());
        let agent_version = AgentVersionId::from_digest([1; 32]);
        let mut world = Self {
            store,
            user,
            agent,
            agent_version,
        };
        let outcome = world
            .store
            .agent_put(world.put("my-agent", 1))
            .await
            .unwrap();
        let AgentPutOutcome::Done { agent, .. } = outcome else {
            panic!("{outcome:?}")
        };
        world.agent = agent.id;
        world
    }

    pub(crate) fn put(&self, name: &str, config: u8) -> AgentPut {
        AgentPut {
            user: self.user.clone(),
            key: Key::Name(name.into()),
            name: name.into(),
            new_id: self.agent,
            version_id: AgentVersionId::from_digest([config; 32]),
            config: format!(r#"{{"config":{config}}}"#),
            description: Some(format!("configuration {config}")),
            message: Some(format!("message {config}")),
            now: at(i64::from(config)),
        }
    }

    pub(crate) fn new_run(&self, now: i64) -> NewRun {
        NewRun {
            id: RunId::from_uuid(Uuid::now_v7()),
            user_id: self.user.id,
            agent_id: self.agent,
            agent_name: "my-agent".into(),
            agent_version: self.agent_version,
            prompt: "Hello".into(),
            timeout_seconds: 7200,
            variables: BTreeMap::from([("A".into(), "1".into())]),
            secret_names: vec!["KEY".into()],
            sealed: b"sealed".to_vec(),
            artifact: None,
            volumes: Vec::new(),
            session_id: None,
            resumed_checkpoint: None,
            idempotency: None,
            concurrency_limit: 0,
            now: at(now),
        }
    }

    pub(crate) fn new_run_with_artifact(&self, now: i64) -> NewRun {
        let artifact = RunArtifact {
            name: "out".into(),
            wanted: VersionWanted::Latest,
            shown: None,
        };
        NewRun {
            artifact: Some((artifact, storage_id())),
            ..self.new_run(now)
        }
    }

    pub(crate) async fn create(&self, run: NewRun) -> RunRecord {
        match self.store.run_create(run).await.unwrap() {
            RunCreateOutcome::Created(run) => run,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(crate) async fn claim(&self, now: i64) -> ClaimedRun {
        let claimed = self
            .store
            .run_claim("runner", "gvisor", at(now), at(now + 120_000))
            .await;
        claimed.unwrap().expect("a run is pending")
    }

    /// Creates and claims a run.
    pub(crate) async fn running(&self, run: NewRun) -> ClaimedRun {
        let now = run.now.millis_since(at(0));
        let id = run.id;
        self.create(run).await;
        let claimed = self.claim(now + 1).await;
        assert_eq!(claimed.run.id, id, "another run was pending");
        claimed
    }

    pub(crate) fn finish(&self, claimed: &ClaimedRun, status: RunStatus, now: i64) -> RunFinish {
        let completed = status == RunStatus::Completed;
        RunFinish {
            run_id: claimed.run.id,
            epoch: claimed.lease.epoch,
            status,
            error: (!completed).then(|| "it broke".into()),
            exit_code: Some(i32::from(!completed)),
            output: completed.then(|| "done".into()),
            usage: None,
            artifact: None,
            checkpoint: completed.then(|| NewCheckpoint {
                id: CheckpointId::from_uuid(Uuid::now_v7()),
                new_session_id: SessionId::from_uuid(Uuid::now_v7()),
                conversation: conversation("conversation-1"),
            }),
            now: at(now),
        }
    }

    pub(crate) fn salvage(&self, claimed: &ClaimedRun, now: i64) -> RunSalvage {
        RunSalvage {
            run_id: claimed.run.id,
            epoch: claimed.lease.epoch,
            exit_code: None,
            usage: None,
            artifact: None,
            now: at(now),
        }
    }

    pub(crate) async fn finished(&self, finish: RunFinish) -> RunRecord {
        done(self.store.run_finish(finish).await.unwrap())
    }

    pub(crate) async fn run(&self, id: RunId) -> RunRecord {
        self.store
            .run_view(Some(self.user.id), id)
            .await
            .unwrap()
            .expect("the run exists")
    }

    pub(crate) async fn storage(&self, kind: StorageKind, name: &str) -> StorageRecord {
        let key = Key::Name(name.into());
        self.store
            .storage_view(self.user.id, kind, &key)
            .await
            .unwrap()
            .expect("it exists")
    }

    pub(crate) async fn volume(&self, name: &str) -> StorageRecord {
        let storage = StorageRecord {
            id: storage_id(),
            user_id: self.user.id,
            kind: StorageKind::Volume,
            name: name.into(),
            head: None,
            created_at: at(0),
            updated_at: at(0),
        };
        self.store
            .storage_create(storage)
            .await
            .unwrap()
            .expect("the name is free")
    }
}

pub(crate) fn saved(storage: StorageId, n: u8) -> SavedVersion {
    SavedVersion {
        storage_id: storage,
        version_id: version(n),
        manifest_id: manifest(n),
        size: 10,
        file_count: 1,
    }
}

pub(crate) fn commit(storage: StorageId, n: u8, now: i64) -> StorageCommit {
    StorageCommit {
        version: StorageVersionRecord {
            id: version(n),
            storage_id: storage,
            manifest_id: manifest(n),
            size: u64::from(n),
            file_count: 1,
            message: Some(format!("commit at {now}")),
            created_by: "user".into(),
            created_at: at(now),
            run_id: None,
            salvaged: false,
        },
        expected: None,
        upload: None,
    }
}

pub(crate) fn done<T: std::fmt::Debug>(leased: Leased<T>) -> T {
    match leased {
        Leased::Done(value) => value,
        Leased::Stale => panic!("the epoch is stale"),
    }
}

/// An epoch that was never given.
pub(crate) fn stale(epoch: Epoch) -> Epoch {
    Epoch(epoch.0 - 1)
}
