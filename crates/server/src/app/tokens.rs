//! Who is calling.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use vm0_model::token::{TokenKind, TokenSecret};
use vm0_model::{ApiError, ErrorCode, Timestamp, TokenId};
use vm0_store::record::{TokenOwner, TokenRecord, UserRecord};

use super::context::App;
use super::error::AppError;
use crate::clock;

/// The name under which the runner in the server's own process is known.
const BUILTIN_RUNNER: &str = "builtin";

/// An authenticated user.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) user: UserRecord,
}

/// An authenticated runner.
#[derive(Debug, Clone)]
pub(crate) struct RunnerCaller {
    /// Its name.
    pub(crate) name: String,
}

/// Tokens used since the last time they were recorded: many requests make one write.
#[derive(Debug, Default)]
pub(crate) struct TokenUse(Mutex<HashMap<TokenId, Timestamp>>);

impl TokenUse {
    fn note(&self, token: TokenId, now: Timestamp) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, now);
    }

    /// What was noted since the last call.
    pub(crate) fn take(&self) -> HashMap<TokenId, Timestamp> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn refused() -> AppError {
    ApiError::new(ErrorCode::InvalidApiKey, "Invalid API key provided").into()
}

impl App {
    /// The user whose token this is.
    pub(crate) async fn authenticate(&self, bearer: Option<&str>) -> Result<Caller, AppError> {
        let secret = parse(bearer, TokenKind::Live)?;
        let token = self.token_valid(&secret).await?;
        match token.owner {
            TokenOwner::User(user) => Ok(Caller { user }),
            TokenOwner::Runner(_) => Err(refused()),
        }
    }

    /// The runner whose token this is.
    pub(crate) async fn authenticate_runner(
        &self,
        bearer: Option<&str>,
    ) -> Result<RunnerCaller, AppError> {
        let secret = parse(bearer, TokenKind::Runner)?;
        // Hashes are compared, so the time of the comparison tells nothing about the token.
        if self.settings.builtin_runner_token == Some(secret.hash()) {
            return Ok(RunnerCaller {
                name: BUILTIN_RUNNER.to_owned(),
            });
        }
        let token = self.token_valid(&secret).await?;
        match token.owner {
            TokenOwner::Runner(name) => Ok(RunnerCaller { name }),
            TokenOwner::User(_) => Err(refused()),
        }
    }

    async fn token_valid(&self, secret: &TokenSecret) -> Result<TokenRecord, AppError> {
        let found = self.store.token_find(&secret.hash().to_string()).await?;
        let token = found.ok_or_else(refused)?;
        let now = clock::now();
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(refused());
        }
        self.token_use.note(token.id, now);
        Ok(token)
    }
}

fn parse(bearer: Option<&str>, kind: TokenKind) -> Result<TokenSecret, AppError> {
    let secret: TokenSecret = bearer.ok_or_else(refused)?.parse().map_err(|_| refused())?;
    if secret.kind() == kind {
        Ok(secret)
    } else {
        Err(refused())
    }
}
