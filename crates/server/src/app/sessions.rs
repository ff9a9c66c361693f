//! Sessions and checkpoints (API 10). How runs use them is in `runs/origin.rs`.

use vm0_model::ApiError;
use vm0_model::wire::page::Page;
use vm0_model::wire::sessions::{Checkpoint, Session};
use vm0_store::record::{CheckpointRecord, SessionFilter, SessionRecord};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::tokens::Caller;

const LIST: &str = "sessions";

impl App {
    /// The sessions of the caller; with `agent_id`, as given, those of this agent.
    pub(crate) async fn session_list(
        &self,
        caller: &Caller,
        agent_id: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Session>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let rows = match agent_id.map(str::parse).transpose() {
            // What is no id matches no session.
            Err(_) => Vec::new(),
            Ok(agent_id) => {
                let filter = SessionFilter { agent_id };
                self.store
                    .session_list(caller.user.id, &filter, rows)
                    .await?
            }
        };
        let position = |row: &SessionRecord| cursor::list_position(LIST, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, session))
    }

    /// A session.
    pub(crate) async fn session_view(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Session, AppError> {
        let unknown = || ApiError::not_found("session", id);
        let found = id.parse().map_err(|_| unknown())?;
        let row = self.store.session_view(caller.user.id, found).await?;
        Ok(session(row.ok_or_else(unknown)?))
    }

    /// A checkpoint.
    pub(crate) async fn checkpoint_view(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Checkpoint, AppError> {
        let unknown = || ApiError::not_found("checkpoint", id);
        let found = id.parse().map_err(|_| unknown())?;
        let row = self.store.checkpoint_view(caller.user.id, found).await?;
        Ok(checkpoint(row.ok_or_else(unknown)?))
    }
}

fn session(row: SessionRecord) -> Session {
    Session {
        id: row.id,
        agent_id: row.agent_id,
        agent_name: row.agent_name,
        artifact_name: row.artifact_name,
        last_run_id: row.last_run_id,
        last_checkpoint_id: row.last_checkpoint_id,
        active_run_id: row.active_run_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn checkpoint(row: CheckpointRecord) -> Checkpoint {
    Checkpoint {
        id: row.id,
        run_id: row.run_id,
        session_id: row.session_id,
        agent_id: row.agent_id,
        agent_name: row.agent_name,
        agent_version: row.agent_version,
        variables: row.variables,
        secret_names: row.secret_names,
        artifact_name: row.artifact_name,
        artifact_version: row.artifact_version,
        volumes: row.volume_versions,
        created_at: row.created_at,
    }
}
