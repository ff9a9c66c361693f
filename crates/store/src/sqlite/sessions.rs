//! Sessions and checkpoints.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::wire::runner::Conversation;
use vm0_model::{CheckpointId, SessionId, Timestamp, UserId, VersionId};

use crate::contract::SessionStore;
use crate::error::StoreError;
use crate::record::{
    CheckpointRecord, ListPage, NewCheckpoint, RunRecord, SessionFilter, SessionRecord,
};
use crate::sqlite::columns::{Columns, Position, all, json};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_session {
    ($($rest:literal)+) => {
        concat!(
            "SELECT s.id, s.user_id, s.agent_id, s.agent_name, s.artifact_name, s.last_run_id, ",
            "s.last_checkpoint_id, s.created_at, s.updated_at, ",
            "(SELECT r.id FROM runs r WHERE r.session_id = s.id ",
            "AND r.status IN ('pending', 'running')) AS active_run_id ",
            "FROM sessions s WHERE s.user_id = $1 AND ",
            $($rest),+
        )
    };
}

pub(super) const VIEW: &str = select_session!("s.id = $2");
pub(super) const LIST: &str = select_session!(
    "(s.created_at, s.id) < ($2, $3) ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
);
pub(super) const LIST_BY_AGENT: &str = select_session!(
    "s.agent_id = $5 AND (s.created_at, s.id) < ($2, $3) "
    "ORDER BY s.created_at DESC, s.id DESC LIMIT $4"
);

pub(super) const CHECKPOINT: &str = "SELECT id, user_id, run_id, session_id, agent_id, agent_name, \
     agent_version, variables, secret_names, artifact_name, artifact_version, volume_versions, \
     volumes_given, framework, agent_session_id, history, working_dir, token_total, created_at \
     FROM checkpoints WHERE id = $1";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn session_list(
        &self,
        user: UserId,
        filter: &SessionFilter,
        page: ListPage,
    ) -> Result<Vec<SessionRecord>> {
        let sql = match filter.agent_id {
            None => LIST,
            Some(_) => LIST_BY_AGENT,
        };
        let position = Position::of(&page);
        let mut query = sqlx::query(sql)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit);
        if let Some(agent) = filter.agent_id {
            query = query.bind(agent.to_string());
        }
        all(&query.fetch_all(&mut *self.reader().await?).await?, session)
    }

    async fn session_view(&self, user: UserId, id: SessionId) -> Result<Option<SessionRecord>> {
        let row = sqlx::query(VIEW)
            .bind(user.to_string())
            .bind(id.to_string())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(session).transpose()
    }

    async fn checkpoint_view(
        &self,
        user: UserId,
        id: CheckpointId,
    ) -> Result<Option<CheckpointRecord>> {
        let row = sqlx::query(CHECKPOINT)
            .bind(id.to_string())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        let found = row.as_ref().map(checkpoint).transpose()?;
        Ok(found.filter(|checkpoint| checkpoint.user_id == user))
    }
}

/// The newest checkpoint of a session.
pub(super) async fn last_checkpoint(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<Option<CheckpointId>> {
    let row = sqlx::query("SELECT last_checkpoint_id FROM sessions WHERE id = $1")
        .bind(session.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(|row| {
            Columns {
                table: "sessions",
                row,
            }
            .parse("last_checkpoint_id")
        })
        .transpose()
}

/// The conversation of a checkpoint.
pub(super) async fn conversation(
    connection: &mut SqliteConnection,
    id: CheckpointId,
) -> Result<Option<Conversation>> {
    let row = sqlx::query(CHECKPOINT)
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    let found = row.as_ref().map(checkpoint).transpose()?;
    Ok(found.map(|checkpoint| Conversation {
        framework: checkpoint.framework,
        agent_session_id: checkpoint.agent_session_id,
        history: checkpoint.history,
        working_dir: checkpoint.working_dir,
        token_total: checkpoint.token_total,
    }))
}

/// Records the checkpoint of a completed run.
pub(super) async fn checkpoint_insert(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    checkpoint: &NewCheckpoint,
    session: SessionId,
    artifact_version: Option<VersionId>,
    now: Timestamp,
) -> Result<()> {
    let secret_names: String =
        sqlx::query_scalar("SELECT secret_names FROM run_inputs WHERE run_id = $1")
            .bind(run.id.to_string())
            .fetch_one(&mut *connection)
            .await?;
    let given: BTreeMap<&str, &str> = run
        .volumes
        .iter()
        .filter_map(|volume| Some((volume.key.as_str(), volume.given.as_deref()?)))
        .collect();
    let conversation = &checkpoint.conversation;
    sqlx::query(
        "INSERT INTO checkpoints (id, user_id, run_id, session_id, agent_id, agent_name, \
         agent_version, variables, secret_names, artifact_name, artifact_version, \
         volume_versions, volumes_given, framework, agent_session_id, history, working_dir, \
         token_total, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16, $17, $18, $19)",
    )
    .bind(checkpoint.id.to_string())
    .bind(run.user_id.to_string())
    .bind(run.id.to_string())
    .bind(session.to_string())
    .bind(run.agent_id.to_string())
    .bind(&run.agent_name)
    .bind(run.agent_version.to_string())
    .bind(json(&run.variables))
    .bind(secret_names)
    .bind(run.artifact.as_ref().map(|artifact| &artifact.name))
    .bind(artifact_version.map(String::from))
    .bind(json(&run.volume_versions.clone().unwrap_or_default()))
    .bind(json(&given))
    .bind(&conversation.framework)
    .bind(&conversation.agent_session_id)
    .bind(conversation.history.map(String::from))
    .bind(&conversation.working_dir)
    .bind(conversation.token_total.as_ref().map(json))
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

/// Points a session at a completed run; a session that does not exist is made.
pub(super) async fn session_move(
    connection: &mut SqliteConnection,
    run: &RunRecord,
    checkpoint: CheckpointId,
    session: SessionId,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO sessions (id, user_id, agent_id, agent_name, artifact_name, last_run_id, \
         last_checkpoint_id, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
         ON CONFLICT (id) DO UPDATE SET artifact_name = excluded.artifact_name, \
         last_run_id = excluded.last_run_id, last_checkpoint_id = excluded.last_checkpoint_id, \
         updated_at = excluded.updated_at",
    )
    .bind(session.to_string())
    .bind(run.user_id.to_string())
    .bind(run.agent_id.to_string())
    .bind(&run.agent_name)
    .bind(run.artifact.as_ref().map(|artifact| &artifact.name))
    .bind(run.id.to_string())
    .bind(checkpoint.to_string())
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok(())
}

fn session(row: &SqliteRow) -> Result<SessionRecord> {
    let columns = Columns {
        table: "sessions",
        row,
    };
    Ok(SessionRecord {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        agent_id: columns.parse("agent_id")?,
        agent_name: columns.get("agent_name")?,
        artifact_name: columns.get("artifact_name")?,
        last_run_id: columns.parse("last_run_id")?,
        last_checkpoint_id: columns.parse("last_checkpoint_id")?,
        active_run_id: columns.parse_opt("active_run_id")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn checkpoint(row: &SqliteRow) -> Result<CheckpointRecord> {
    let columns = Columns {
        table: "checkpoints",
        row,
    };
    Ok(CheckpointRecord {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        run_id: columns.parse("run_id")?,
        session_id: columns.parse("session_id")?,
        agent_id: columns.parse("agent_id")?,
        agent_name: columns.get("agent_name")?,
        agent_version: columns.parse("agent_version")?,
        variables: columns.json("variables")?,
        secret_names: columns.json("secret_names")?,
        artifact_name: columns.get("artifact_name")?,
        artifact_version: columns.parse_opt("artifact_version")?,
        volume_versions: columns.json("volume_versions")?,
        volumes_given: columns.json("volumes_given")?,
        framework: columns.get("framework")?,
        agent_session_id: columns.get("agent_session_id")?,
        history: columns.parse_opt("history")?,
        working_dir: columns.get("working_dir")?,
        token_total: columns.json_opt("token_total")?,
        created_at: columns.time("created_at")?,
    })
}
