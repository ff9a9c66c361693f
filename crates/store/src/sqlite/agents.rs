//! Agents and their versions.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::wire::agents::AgentAction;
use vm0_model::{AgentId, AgentVersionId, UserId};

use crate::contract::AgentStore;
use crate::error::StoreError;
use crate::record::{
    AgentDeleteOutcome, AgentPut, AgentPutOutcome, AgentRecord, AgentVersionRecord, AuditAction,
    Key, ListPage,
};
use crate::sqlite::audit;
use crate::sqlite::columns::{Columns, Position, all, prefix_end};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

macro_rules! select_agent {
    ($($rest:literal)+) => {
        concat!("SELECT id, user_id, name, description, head, created_at, updated_at FROM agents WHERE ", $($rest),+)
    };
}
macro_rules! select_version {
    ($($rest:literal)+) => {
        concat!("SELECT agent_id, id, number, config, message, created_by, created_at FROM agent_versions WHERE ", $($rest),+)
    };
}

pub(super) const LIST: &str = select_agent!(
    "user_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
);
pub(super) const LIST_BY_NAME: &str =
    select_agent!("user_id = $1 AND name = $5 AND (created_at, id) < ($2, $3) LIMIT $4");
pub(super) const BY_ID: &str = select_agent!("user_id = $1 AND id = $2");
pub(super) const BY_NAME: &str = select_agent!("user_id = $1 AND name = $2");
pub(super) const ACTIVE_RUN: &str = "SELECT id FROM runs WHERE user_id = $1 AND agent_id = $2 \
     AND status IN ('pending', 'running') LIMIT 1";
pub(super) const VERSION: &str = select_version!("agent_id = $1 AND id = $2");
pub(super) const VERSION_LIST: &str =
    select_version!("agent_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3");
pub(super) const VERSION_MATCH: &str =
    select_version!("agent_id = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT 2");

#[async_trait]
impl AgentStore for SqliteStore {
    async fn agent_put(&self, put: AgentPut) -> Result<AgentPutOutcome> {
        self.write(move |connection| agent_put(connection, put).boxed())
            .await
    }

    async fn agent_delete(&self, user: UserId, id: AgentId) -> Result<AgentDeleteOutcome> {
        self.write(move |connection| agent_delete(connection, user, id).boxed())
            .await
    }

    async fn agent_list(
        &self,
        user: UserId,
        name: Option<&str>,
        page: ListPage,
    ) -> Result<Vec<AgentRecord>> {
        let position = Position::of(&page);
        let sql = if name.is_some() { LIST_BY_NAME } else { LIST };
        let mut query = sqlx::query(sql)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit);
        if let Some(name) = name {
            query = query.bind(name.to_owned());
        }
        all(&query.fetch_all(&mut *self.reader().await?).await?, agent)
    }

    async fn agent_view(
        &self,
        user: UserId,
        key: &Key<AgentId>,
    ) -> Result<Option<(AgentRecord, AgentVersionRecord)>> {
        let key = key.clone();
        self.read(move |connection| {
            async move {
                let Some(agent) = find(connection, user, &key).await? else {
                    return Ok(None);
                };
                let head = version(connection, agent.id, agent.head).await?.ok_or(
                    StoreError::Corrupt {
                        table: "agents",
                        column: "head",
                    },
                )?;
                Ok(Some((agent, head)))
            }
            .boxed()
        })
        .await
    }

    async fn agent_version_list(
        &self,
        agent: AgentId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AgentVersionRecord>> {
        let rows = sqlx::query(VERSION_LIST)
            .bind(agent.to_string())
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, agent_version)
    }

    async fn agent_version_match(
        &self,
        agent: AgentId,
        prefix: &str,
    ) -> Result<Vec<AgentVersionRecord>> {
        let rows = sqlx::query(VERSION_MATCH)
            .bind(agent.to_string())
            .bind(prefix.to_owned())
            .bind(prefix_end(prefix))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, agent_version)
    }
}

async fn agent_put(connection: &mut SqliteConnection, put: AgentPut) -> Result<AgentPutOutcome> {
    let found = find(connection, put.user.id, &put.key).await?;
    let mut agent = match found {
        Some(agent) if agent.name != put.name => return Ok(AgentPutOutcome::NameMismatch),
        Some(agent) => agent,
        None if matches!(put.key, Key::Id(_)) => return Ok(AgentPutOutcome::NotFound),
        None => {
            let agent = new_agent(&put);
            insert(connection, &agent).await?;
            let version = add_version(connection, &put, agent.id).await?;
            return Ok(AgentPutOutcome::Done {
                agent,
                version,
                action: AgentAction::Created,
            });
        }
    };
    let (version, action) = match version(connection, agent.id, put.version_id).await? {
        Some(version) => (version, AgentAction::Existing),
        None => (
            add_version(connection, &put, agent.id).await?,
            AgentAction::Updated,
        ),
    };
    if agent.head != version.id {
        agent.head = version.id;
        agent.description = put.description;
        agent.updated_at = put.now;
        move_head(connection, &agent).await?;
    }
    Ok(AgentPutOutcome::Done {
        agent,
        version,
        action,
    })
}

async fn agent_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    id: AgentId,
) -> Result<AgentDeleteOutcome> {
    let Some(agent) = find(connection, user, &Key::Id(id)).await? else {
        return Ok(AgentDeleteOutcome::NotFound);
    };
    let active = sqlx::query(ACTIVE_RUN)
        .bind(user.to_string())
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    if active.is_some() {
        return Ok(AgentDeleteOutcome::ActiveRuns);
    }
    sqlx::query("DELETE FROM agents WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    let object = || format!("agent {} {id}", agent.name);
    audit::note(connection, AuditAction::AgentDelete, object).await?;
    Ok(AgentDeleteOutcome::Deleted)
}

fn new_agent(put: &AgentPut) -> AgentRecord {
    AgentRecord {
        id: put.new_id,
        user_id: put.user.id,
        name: put.name.clone(),
        description: put.description.clone(),
        head: put.version_id,
        created_at: put.now,
        updated_at: put.now,
    }
}

async fn insert(connection: &mut SqliteConnection, agent: &AgentRecord) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents (id, user_id, name, description, head, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(agent.id.to_string())
    .bind(agent.user_id.to_string())
    .bind(&agent.name)
    .bind(&agent.description)
    .bind(agent.head.to_string())
    .bind(agent.created_at.micros())
    .bind(agent.updated_at.micros())
    .execute(connection)
    .await?;
    Ok(())
}

async fn add_version(
    connection: &mut SqliteConnection,
    put: &AgentPut,
    agent: AgentId,
) -> Result<AgentVersionRecord> {
    let row = sqlx::query(
        "INSERT INTO agent_versions (agent_id, id, number, config, message, created_by, created_at) \
         VALUES ($1, $2, \
         (SELECT coalesce(max(number), 0) + 1 FROM agent_versions WHERE agent_id = $1), \
         $3, $4, $5, $6) \
         RETURNING agent_id, id, number, config, message, created_by, created_at",
    )
    .bind(agent.to_string())
    .bind(put.version_id.to_string())
    .bind(&put.config)
    .bind(&put.message)
    .bind(&put.user.name)
    .bind(put.now.micros())
    .fetch_one(connection)
    .await?;
    agent_version(&row)
}

async fn move_head(connection: &mut SqliteConnection, agent: &AgentRecord) -> Result<()> {
    sqlx::query("UPDATE agents SET head = $2, description = $3, updated_at = $4 WHERE id = $1")
        .bind(agent.id.to_string())
        .bind(agent.head.to_string())
        .bind(&agent.description)
        .bind(agent.updated_at.micros())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    user: UserId,
    key: &Key<AgentId>,
) -> Result<Option<AgentRecord>> {
    let (sql, value) = match key {
        Key::Id(id) => (BY_ID, id.to_string()),
        Key::Name(name) => (BY_NAME, name.clone()),
    };
    let row = sqlx::query(sql)
        .bind(user.to_string())
        .bind(value)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(agent).transpose()
}

/// A version of an agent.
pub(super) async fn version(
    connection: &mut SqliteConnection,
    agent: AgentId,
    id: AgentVersionId,
) -> Result<Option<AgentVersionRecord>> {
    let row = sqlx::query(VERSION)
        .bind(agent.to_string())
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(agent_version).transpose()
}

fn agent(row: &SqliteRow) -> Result<AgentRecord> {
    let columns = Columns {
        table: "agents",
        row,
    };
    Ok(AgentRecord {
        id: columns.parse("id")?,
        user_id: columns.parse("user_id")?,
        name: columns.get("name")?,
        description: columns.get("description")?,
        head: columns.parse("head")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn agent_version(row: &SqliteRow) -> Result<AgentVersionRecord> {
    let columns = Columns {
        table: "agent_versions",
        row,
    };
    Ok(AgentVersionRecord {
        id: columns.parse("id")?,
        agent_id: columns.parse("agent_id")?,
        number: columns.get("number")?,
        config: columns.get("config")?,
        message: columns.get("message")?,
        created_by: columns.get("created_by")?,
        created_at: columns.time("created_at")?,
    })
}
