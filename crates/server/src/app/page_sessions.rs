//! Sessions of the server's pages: who has the cookie, and that a form is of that session.

use std::time::Duration;

use vm0_model::bearer::BearerSecret;
use vm0_model::{Timestamp, TokenId, UserId, limits};
use vm0_store::record::{NewPageSession, UserRecord};

use super::auth_limit::Client;
use super::context::App;
use super::error::AppError;
use crate::clock;

const FORM: &str = "page form";

/// A user who is signed in on a page.
#[derive(Debug, Clone)]
pub(crate) struct PageCaller {
    /// The user.
    pub(crate) user: UserRecord,
    /// Where it asks from.
    pub(crate) address: Option<String>,
    /// Hash of the session's secret.
    session: String,
}

/// A session that has begun: what its cookie holds, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct PageSession {
    pub(crate) secret: BearerSecret,
    pub(crate) lives: Duration,
}

impl PageSession {
    /// A session that ends after the usual time, or with the token it begins with.
    pub(super) fn fresh(now: Timestamp, token_expires_at: Option<Timestamp>) -> Self {
        let left = token_expires_at.map(|end| end.millis_since(now).max(0).unsigned_abs());
        let left = left.map_or(Duration::MAX, Duration::from_millis);
        Self {
            secret: BearerSecret::from_bytes(rand::random()),
            lives: limits::PAGE_SESSION_TTL.min(left),
        }
    }

    /// When it ends.
    pub(super) fn expires_at(&self, now: Timestamp) -> Timestamp {
        clock::after(now, self.lives)
    }

    /// Its row, as one of this user.
    pub(super) fn row(
        &self,
        user: UserId,
        token: Option<TokenId>,
        now: Timestamp,
    ) -> NewPageSession {
        NewPageSession {
            hash: self.secret.hash(),
            user,
            token,
            expires_at: self.expires_at(now),
            now,
            kept: limits::PAGE_SESSIONS_MAX,
        }
    }
}

impl App {
    /// The user whose cookie this is.
    pub(crate) async fn page_session_find(
        &self,
        cookie: &str,
        client: &Client,
    ) -> Result<Option<PageCaller>, AppError> {
        let Ok(secret) = cookie.parse::<BearerSecret>() else {
            return Ok(None);
        };
        let session = secret.hash();
        let found = self.store.page_session_find(&session).await?;
        let now = clock::now();
        let alive = found.filter(|found| found.expires_at > now);
        Ok(alive.map(|found| PageCaller {
            user: found.user,
            address: client.address.clone(),
            session,
        }))
    }

    /// Ends the session.
    pub(crate) async fn page_session_delete(&self, caller: &PageCaller) -> Result<(), AppError> {
        self.store.page_session_delete(&caller.session).await?;
        Ok(())
    }

    /// What every form of the session carries.
    pub(crate) fn form_token(&self, caller: &PageCaller) -> String {
        self.keys.sign(FORM, caller.session.as_bytes())
    }

    /// Whether a form is of the session.
    pub(crate) fn is_form_token(&self, caller: &PageCaller, token: &str) -> bool {
        self.keys.verify(FORM, caller.session.as_bytes(), token)
    }
}
