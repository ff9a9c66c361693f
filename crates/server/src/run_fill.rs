//! Filling a data directory with runs, for measurements: many at a time, beside a running server.

use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use vm0_model::{RunId, UserId, limits};
use vm0_store::record::{AgentRecord, AgentVersionRecord, Key, NewRun};
use vm0_store::{AgentStore, RunStore, SqliteStore, StoreError, UserStore};

use crate::clock;
use crate::data_dir::{DataDir, DataDirError};

/// Transactions under way: the store commits as many at once.
const AT_ONCE: usize = 256;
/// One run in so many is cancelled, the others stay pending.
const CANCELLED_SHARE: u32 = 4;

/// The runs to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFill {
    /// Their owner, made if there is none of the name.
    pub user: String,
    /// Their agents in turn, which must exist.
    pub agents: Vec<String>,
    /// How many.
    pub runs: u32,
}

/// Why no runs were made.
#[derive(Debug, thiserror::Error)]
pub enum RunFillError {
    /// There is no such agent.
    #[error("find the agent '{name}'")]
    Agent {
        /// Its name.
        name: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error("use the database")]
    Store(#[from] StoreError),
}

/// Makes runs that no runner can claim: they have no values to start with.
///
/// # Errors
///
/// When an agent is missing, or the data directory or database cannot be used.
pub async fn run_fill(data_dir: &Path, fill: RunFill) -> Result<(), RunFillError> {
    let directory = DataDir::open(data_dir)?;
    let store = SqliteStore::open(&directory.database()).await?;
    let id = clock::fresh(UserId::from_uuid);
    let user = store.user_ensure(id, &fill.user, clock::now()).await?.id;
    let mut agents = Vec::new();
    for name in fill.agents {
        let key = Key::Name(name.clone());
        let found = store.agent_view(user, &key).await?;
        agents.push(found.ok_or(RunFillError::Agent { name })?);
    }
    let (store, agents) = (&store, &agents);
    stream::iter(0..fill.runs)
        .map(|number| async move {
            let agent = &agents[number as usize % agents.len()];
            let run = new_run(user, agent);
            let id = run.id;
            store.run_create(run).await?;
            if (number / agents.len() as u32).is_multiple_of(CANCELLED_SHARE) {
                store.run_cancel(user, id, clock::now()).await?;
            }
            Ok::<_, RunFillError>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

fn new_run(user: UserId, (agent, version): &(AgentRecord, AgentVersionRecord)) -> NewRun {
    NewRun {
        id: clock::fresh(RunId::from_uuid),
        user_id: user,
        agent_id: agent.id,
        agent_name: agent.name.clone(),
        agent_version: version.id,
        prompt: "true".to_owned(),
        timeout_seconds: limits::RUN_TIMEOUT_DEFAULT_SECONDS,
        variables: Default::default(),
        secret_names: Vec::new(),
        sealed: Vec::new(),
        artifact: None,
        volumes: Vec::new(),
        session_id: None,
        resumed_checkpoint: None,
        idempotency: None,
        concurrency_limit: 0,
        now: clock::now(),
    }
}
