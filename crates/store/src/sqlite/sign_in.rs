//! One-time links, the sessions of the pages, and the end of both.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::{Timestamp, UserId};

use crate::contract::SignInStore;
use crate::error::StoreError;
use crate::record::{
    AuditAction, NewPageSession, NewSignInLink, PageSessionRecord, SignInLinkOutcome,
    SignInLinkRecord, SignInLinkUse, UserRecord,
};
use crate::sqlite::audit;
use crate::sqlite::columns::Columns;
use crate::sqlite::store::SqliteStore;
use crate::sqlite::users::{USER_ANY, user_ensure};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const LINK: &str = "SELECT l.user_id, u.name AS user_name, l.used_at, l.expires_at \
     FROM sign_in_links l LEFT JOIN users u ON u.id = l.user_id WHERE l.hash = $1";
pub(super) const SESSION: &str = "SELECT s.user_id, u.name AS user_name, s.expires_at \
     FROM page_sessions s JOIN users u ON u.id = s.user_id WHERE s.hash = $1";
/// The newest of a user are kept.
pub(super) const LINKS_TOO_MANY: &str = "DELETE FROM sign_in_links WHERE hash IN (SELECT hash FROM sign_in_links \
     WHERE user_id = $1 ORDER BY created_at DESC LIMIT -1 OFFSET $2)";
pub(super) const SESSIONS_TOO_MANY: &str = "DELETE FROM page_sessions WHERE hash IN (SELECT hash FROM page_sessions \
     WHERE user_id = $1 ORDER BY created_at DESC LIMIT -1 OFFSET $2)";
pub(super) const EXPIRED: [&str; 3] = [
    "DELETE FROM device_codes WHERE expires_at <= $1",
    "DELETE FROM sign_in_links WHERE expires_at <= $1",
    "DELETE FROM page_sessions WHERE expires_at <= $1",
];

#[async_trait]
impl SignInStore for SqliteStore {
    async fn sign_in_link_create(&self, link: NewSignInLink) -> Result<bool> {
        self.write(move |connection| sign_in_link_create(connection, link).boxed())
            .await
    }

    async fn sign_in_link_view(&self, hash: &str) -> Result<Option<SignInLinkRecord>> {
        let row = sqlx::query(LINK)
            .bind(hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(link).transpose()
    }

    async fn sign_in_link_use(&self, link: SignInLinkUse) -> Result<SignInLinkOutcome> {
        self.write(move |connection| sign_in_link_use(connection, link).boxed())
            .await
    }

    async fn page_session_create(&self, session: NewPageSession) -> Result<()> {
        self.write(move |connection| page_session_create(connection, session).boxed())
            .await
    }

    async fn page_session_find(&self, hash: &str) -> Result<Option<PageSessionRecord>> {
        let row = sqlx::query(SESSION)
            .bind(hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.as_ref().map(page_session).transpose()
    }

    async fn page_session_delete(&self, hash: &str) -> Result<bool> {
        let hash = hash.to_owned();
        self.write(move |connection| page_session_delete(connection, hash).boxed())
            .await
    }

    async fn sign_in_expire(&self, before: Timestamp) -> Result<u64> {
        self.write(move |connection| sign_in_expire(connection, before).boxed())
            .await
    }
}

async fn sign_in_link_create(
    connection: &mut SqliteConnection,
    link: NewSignInLink,
) -> Result<bool> {
    if link.user.is_none() {
        if user_any(connection).await? {
            return Ok(false);
        }
        sqlx::query("DELETE FROM sign_in_links WHERE user_id IS NULL")
            .execute(&mut *connection)
            .await?;
    }
    let user = link.user.map(|user| user.to_string());
    sqlx::query(
        "INSERT INTO sign_in_links (hash, user_id, expires_at, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(link.hash)
    .bind(&user)
    .bind(link.expires_at.micros())
    .bind(link.now.micros())
    .execute(&mut *connection)
    .await?;
    sqlx::query(LINKS_TOO_MANY)
        .bind(user)
        .bind(i64::from(link.kept))
        .execute(connection)
        .await?;
    Ok(true)
}

async fn sign_in_link_use(
    connection: &mut SqliteConnection,
    used: SignInLinkUse,
) -> Result<SignInLinkOutcome> {
    let found = sqlx::query(LINK)
        .bind(&used.hash)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(found) = found.as_ref().map(link).transpose()? else {
        return Ok(SignInLinkOutcome::Unknown);
    };
    if found.used {
        return Ok(SignInLinkOutcome::Used);
    }
    if used.now >= found.expires_at {
        return Ok(SignInLinkOutcome::Expired);
    }
    let user = match (found.user, used.first_user) {
        (Some(user), _) => user,
        (None, _) if user_any(connection).await? => return Ok(SignInLinkOutcome::NotFirst),
        (None, None) => return Ok(SignInLinkOutcome::Unnamed),
        (None, Some(first)) => user_ensure(connection, first.id, first.name, used.now).await?,
    };
    sqlx::query("UPDATE sign_in_links SET used_at = $2 WHERE hash = $1")
        .bind(used.hash)
        .bind(used.now.micros())
        .execute(&mut *connection)
        .await?;
    let session = NewPageSession {
        hash: used.session_hash,
        user: user.id,
        token: None,
        expires_at: used.session_expires_at,
        now: used.now,
        kept: used.sessions_kept,
    };
    page_session_create(connection, session).await?;
    Ok(SignInLinkOutcome::SignedIn(user))
}

async fn user_any(connection: &mut SqliteConnection) -> Result<bool> {
    let any: Option<String> = sqlx::query_scalar(USER_ANY)
        .fetch_optional(connection)
        .await?;
    Ok(any.is_some())
}

async fn page_session_create(
    connection: &mut SqliteConnection,
    session: NewPageSession,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO page_sessions (hash, user_id, token_id, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(session.hash)
    .bind(session.user.to_string())
    .bind(session.token.map(|token| token.to_string()))
    .bind(session.expires_at.micros())
    .bind(session.now.micros())
    .execute(&mut *connection)
    .await?;
    sqlx::query(SESSIONS_TOO_MANY)
        .bind(session.user.to_string())
        .bind(i64::from(session.kept))
        .execute(&mut *connection)
        .await?;
    let object = || format!("user {}", session.user);
    audit::note(connection, AuditAction::SignIn, object).await
}

async fn page_session_delete(connection: &mut SqliteConnection, hash: String) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM page_sessions WHERE hash = $1")
        .bind(hash)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

async fn sign_in_expire(connection: &mut SqliteConnection, before: Timestamp) -> Result<u64> {
    let mut removed = 0;
    for statement in EXPIRED {
        let deleted = sqlx::query(statement)
            .bind(before.micros())
            .execute(&mut *connection)
            .await?;
        removed += deleted.rows_affected();
    }
    Ok(removed)
}

fn user(columns: &Columns<'_>) -> Result<Option<UserRecord>> {
    let id: Option<UserId> = columns.parse_opt("user_id")?;
    id.map(|id| {
        let name = columns.get("user_name")?;
        Ok(UserRecord { id, name })
    })
    .transpose()
}

fn link(row: &SqliteRow) -> Result<SignInLinkRecord> {
    let columns = Columns {
        table: "sign_in_links",
        row,
    };
    Ok(SignInLinkRecord {
        user: user(&columns)?,
        used: columns.time_opt("used_at")?.is_some(),
        expires_at: columns.time("expires_at")?,
    })
}

fn page_session(row: &SqliteRow) -> Result<PageSessionRecord> {
    let columns = Columns {
        table: "page_sessions",
        row,
    };
    Ok(PageSessionRecord {
        user: user(&columns)?.ok_or_else(|| columns.corrupt("user_id"))?,
        expires_at: columns.time("expires_at")?,
    })
}
