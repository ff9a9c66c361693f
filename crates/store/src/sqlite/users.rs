//! Users and tokens.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{Timestamp, TokenId, UserId};

use crate::contract::UserStore;
use crate::error::StoreError;
use crate::record::{AuditAction, ListPage, TokenOwner, TokenRecord, UserRecord, UserTokenRecord};
use crate::sqlite::audit;
use crate::sqlite::columns::{Columns, Position, all};
use crate::sqlite::store::SqliteStore;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const USER_ANY: &str = "SELECT id FROM users LIMIT 1";

macro_rules! select_user_token {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, prefix, expires_at, last_used_at, created_at FROM tokens WHERE ",
            $rest
        )
    };
}

pub(super) const TOKEN_LIST: &str = select_user_token!(
    "user_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
);
pub(super) const TOKEN_VIEW: &str = select_user_token!("user_id = $1 AND id = $2");
pub(super) const TOKEN_BY_HASH: &str = "SELECT t.id, t.user_id, u.name AS user_name, t.runner, t.name, t.hash, \
     t.prefix, t.expires_at, t.last_used_at, t.created_at \
     FROM tokens t LEFT JOIN users u ON u.id = t.user_id WHERE t.hash = $1";

#[async_trait]
impl UserStore for SqliteStore {
    async fn user_ensure(&self, id: UserId, name: &str, now: Timestamp) -> Result<UserRecord> {
        let name = name.to_owned();
        self.write(move |connection| user_ensure(connection, id, name, now).boxed())
            .await
    }

    async fn user_any(&self) -> Result<bool> {
        let id: Option<String> = sqlx::query_scalar(USER_ANY)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        Ok(id.is_some())
    }

    async fn token_create(&self, token: TokenRecord) -> Result<()> {
        let written = self
            .write(move |connection| token_create(connection, token).boxed())
            .await;
        self.tokens().forget();
        written
    }

    async fn token_find(&self, hash: &str) -> Result<Option<TokenRecord>> {
        let asked = match self.tokens().get(hash) {
            Ok(token) => return Ok(Some(token)),
            Err(asked) => asked,
        };
        let row = sqlx::query(TOKEN_BY_HASH)
            .bind(hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        let found = row.as_ref().map(token).transpose()?;
        if let Some(token) = &found {
            self.tokens().put(asked, token);
        }
        Ok(found)
    }

    async fn token_list(&self, user: UserId, page: ListPage) -> Result<Vec<UserTokenRecord>> {
        let position = Position::of(&page);
        let rows = sqlx::query(TOKEN_LIST)
            .bind(user.to_string())
            .bind(position.created_at)
            .bind(position.id)
            .bind(position.limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, user_token)
    }

    async fn token_view(&self, user: UserId, id: TokenId) -> Result<Option<UserTokenRecord>> {
        let row = sqlx::query(TOKEN_VIEW)
            .bind(user.to_string())
            .bind(id.to_string())
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(user_token).transpose()
    }

    async fn token_delete(&self, user: UserId, id: TokenId) -> Result<bool> {
        let deleted = self
            .write(move |connection| token_delete(connection, user, id).boxed())
            .await;
        self.tokens().forget();
        deleted
    }

    async fn token_touch(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<()> {
        let written = self
            .write(move |connection| token_touch(connection, uses).boxed())
            .await;
        self.tokens().forget();
        written
    }
}

pub(super) async fn user_ensure(
    connection: &mut SqliteConnection,
    id: UserId,
    name: String,
    now: Timestamp,
) -> Result<UserRecord> {
    let made = sqlx::query(
        "INSERT INTO users (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(&name)
    .bind(now.micros())
    .execute(&mut *connection)
    .await?;
    if made.rows_affected() > 0 {
        let object = || format!("user {name}");
        audit::note(connection, AuditAction::UserCreate, object).await?;
    }
    let row = sqlx::query("SELECT id, name FROM users WHERE name = $1")
        .bind(&name)
        .fetch_one(connection)
        .await?;
    let columns = Columns {
        table: "users",
        row: &row,
    };
    Ok(UserRecord {
        id: columns.parse("id")?,
        name: columns.get("name")?,
    })
}

pub(super) async fn token_create(
    connection: &mut SqliteConnection,
    token: TokenRecord,
) -> Result<()> {
    let object = object_of(&token);
    let (user, runner) = match token.owner {
        TokenOwner::User(user) => (Some(user.id.to_string()), None),
        TokenOwner::Runner(name) => (None, Some(name)),
    };
    sqlx::query(
        "INSERT INTO tokens (id, user_id, runner, name, hash, prefix, expires_at, last_used_at, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(token.id.to_string())
    .bind(user)
    .bind(runner)
    .bind(token.name)
    .bind(token.hash)
    .bind(token.prefix)
    .bind(token.expires_at.map(Timestamp::micros))
    .bind(token.last_used_at.map(Timestamp::micros))
    .bind(token.created_at.micros())
    .execute(&mut *connection)
    .await?;
    audit::note(connection, AuditAction::TokenCreate, || object).await
}

fn object_of(token: &TokenRecord) -> String {
    let owner = match &token.owner {
        TokenOwner::User(user) => format!("user {}", user.name),
        TokenOwner::Runner(name) => format!("runner {name}"),
    };
    format!("token {} of {owner}", token.id)
}

async fn token_delete(
    connection: &mut SqliteConnection,
    user: UserId,
    id: TokenId,
) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM tokens WHERE user_id = $1 AND id = $2")
        .bind(user.to_string())
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let object = || format!("token {id}");
    audit::note(connection, AuditAction::TokenDelete, object).await?;
    Ok(true)
}

async fn token_touch(
    connection: &mut SqliteConnection,
    uses: Vec<(TokenId, Timestamp)>,
) -> Result<()> {
    for (id, used_at) in uses {
        sqlx::query(
            "UPDATE tokens SET last_used_at = $2 \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        )
        .bind(id.to_string())
        .bind(used_at.micros())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn user_token(row: &SqliteRow) -> Result<UserTokenRecord> {
    let columns = Columns {
        table: "tokens",
        row,
    };
    Ok(UserTokenRecord {
        id: columns.parse("id")?,
        name: columns.get("name")?,
        prefix: columns.get("prefix")?,
        expires_at: columns.time("expires_at")?,
        last_used_at: columns.time_opt("last_used_at")?,
        created_at: columns.time("created_at")?,
    })
}

fn token(row: &SqliteRow) -> Result<TokenRecord> {
    let columns = Columns {
        table: "tokens",
        row,
    };
    let runner: Option<String> = columns.get("runner")?;
    let owner = match runner {
        Some(name) => TokenOwner::Runner(name),
        None => TokenOwner::User(UserRecord {
            id: columns.parse("user_id")?,
            name: columns.get("user_name")?,
        }),
    };
    Ok(TokenRecord {
        id: columns.parse("id")?,
        owner,
        name: columns.get("name")?,
        hash: columns.get("hash")?,
        prefix: columns.get("prefix")?,
        expires_at: columns.time_opt("expires_at")?,
        last_used_at: columns.time_opt("last_used_at")?,
        created_at: columns.time("created_at")?,
    })
}
