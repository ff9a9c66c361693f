//! Tokens: who is calling (API 1.2), and what callers do with their own (API 12).

use std::time::Duration;

use vm0_model::token::{TokenHash, TokenKind, TokenSecret};
use vm0_model::wire::page::Page;
use vm0_model::wire::tokens::{Token, TokenCreate, TokenCreated};
use vm0_model::{ApiError, ErrorCode, Timestamp, TokenId, limits};
use vm0_store::record::{TokenOwner, TokenRecord, UserRecord, UserTokenRecord};

use super::auth_limit::Client;
use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use crate::clock;

const LIST: &str = "tokens";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The name under which the runner in the server's own process is known.
const BUILTIN_RUNNER: &str = "builtin";

/// An authenticated user.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) user: UserRecord,
    /// The token that it used.
    pub(crate) token: Option<TokenId>,
    /// Where it asks from.
    pub(crate) address: Option<String>,
}

/// An authenticated runner.
#[derive(Debug, Clone)]
pub(crate) struct RunnerCaller {
    /// Its name.
    pub(crate) name: String,
    /// The token that it used; none of the one in this process.
    pub(crate) token: Option<TokenId>,
}

pub(super) fn refused() -> AppError {
    ApiError::new(ErrorCode::InvalidApiKey, "Invalid API key provided").into()
}

impl App {
    /// The user whose token this is.
    pub(crate) async fn authenticate(
        &self,
        bearer: Option<&str>,
        client: &Client,
    ) -> Result<Caller, AppError> {
        let proof = self.authenticate_user(bearer, client);
        self.judge(bearer, client, proof).await
    }

    async fn authenticate_user(
        &self,
        bearer: Option<&str>,
        client: &Client,
    ) -> Result<Caller, AppError> {
        let secret = parse(bearer, TokenKind::Live)?;
        let token = self.token_valid(&secret).await?;
        match token.owner {
            TokenOwner::User(user) => Ok(Caller {
                user,
                token: Some(token.id),
                address: client.address.clone(),
            }),
            TokenOwner::Runner(_) => Err(refused()),
        }
    }

    /// The runner whose token this is.
    pub(crate) async fn authenticate_runner(
        &self,
        bearer: Option<&str>,
        client: &Client,
    ) -> Result<RunnerCaller, AppError> {
        // Hashes are compared, so the time of the comparison tells nothing about the token.
        let builtin = self.settings.builtin_runner_token;
        if builtin.is_some() && hash_of(bearer) == builtin {
            return Ok(RunnerCaller {
                name: BUILTIN_RUNNER.to_owned(),
                token: None,
            });
        }
        let proof = self.authenticate_stored_runner(bearer);
        self.judge(bearer, client, proof).await
    }

    async fn authenticate_stored_runner(
        &self,
        bearer: Option<&str>,
    ) -> Result<RunnerCaller, AppError> {
        let secret = parse(bearer, TokenKind::Runner)?;
        let token = self.token_valid(&secret).await?;
        match token.owner {
            TokenOwner::Runner(name) => Ok(RunnerCaller {
                name,
                token: Some(token.id),
            }),
            TokenOwner::User(_) => Err(refused()),
        }
    }

    /// What brings no token at all is refused, but is no try.
    async fn judge<T>(
        &self,
        bearer: Option<&str>,
        client: &Client,
        proof: impl Future<Output = Result<T, AppError>>,
    ) -> Result<T, AppError> {
        let client = client.network.filter(|_| bearer.is_some());
        let limit = &self.auth_limit;
        limit.judge(client, hash_of(bearer), proof).await
    }

    pub(super) async fn token_valid(&self, secret: &TokenSecret) -> Result<TokenRecord, AppError> {
        let found = self.store.token_find(&secret.hash().to_string()).await?;
        let token = found.ok_or_else(refused)?;
        let now = clock::now();
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(refused());
        }
        self.token_use.note(token.id, token.last_used_at, now);
        Ok(token)
    }

    /// The tokens of the caller, expired ones included.
    pub(crate) async fn token_list(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Token>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let rows = self.store.token_list(caller.user.id, rows).await?;
        let position = |row: &UserTokenRecord| cursor::list_position(LIST, row.created_at, row.id);
        Ok(cursor::page_of(page.limit, rows, position, |row| {
            self.token(row)
        }))
    }

    /// Makes a token for the caller.
    pub(crate) async fn token_create(
        &self,
        caller: &Caller,
        request: TokenCreate,
    ) -> Result<TokenCreated, AppError> {
        let max = limits::TOKEN_NAME_MAX_CHARS;
        if !(1..=max).contains(&request.name.chars().count()) {
            let message = format!("name must be 1 to {max} characters long");
            return Err(ApiError::invalid("name", message).into());
        }
        let days = request
            .expires_in_days
            .unwrap_or(limits::TOKEN_EXPIRES_DEFAULT_DAYS);
        let owner = TokenOwner::User(caller.user.clone());
        let now = clock::now();
        let (secret, row) = fresh_token(owner, request.name, days, now);
        let token = Token {
            id: row.id,
            name: row.name.clone(),
            token_prefix: row.prefix.clone(),
            last_used_at: None,
            expires_at: expiry(now, days),
            created_at: now,
        };
        self.acting(caller).token_create(row).await?;
        Ok(TokenCreated {
            token,
            secret: secret.expose().to_owned(),
        })
    }

    /// A token of the caller.
    pub(crate) async fn token_view(&self, caller: &Caller, id: &str) -> Result<Token, AppError> {
        let key = token_id(id)?;
        let found = self.store.token_view(caller.user.id, key).await?;
        let row = found.ok_or_else(|| ApiError::not_found("token", id))?;
        Ok(self.token(row))
    }

    /// Deletes a token of the caller, which may be the one in use.
    pub(crate) async fn token_delete(&self, caller: &Caller, id: &str) -> Result<(), AppError> {
        let key = token_id(id)?;
        let deleted = self
            .acting(caller)
            .token_delete(caller.user.id, key)
            .await?;
        if !deleted {
            return Err(ApiError::not_found("token", id).into());
        }
        self.token_use.forget(key);
        Ok(())
    }

    fn token(&self, row: UserTokenRecord) -> Token {
        Token {
            id: row.id,
            name: row.name,
            token_prefix: row.prefix,
            last_used_at: self.token_use.last(row.id, row.last_used_at),
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

/// A new token and the row for it. Those of users expire after `days`, those of runners never.
pub(crate) fn fresh_token(
    owner: TokenOwner,
    name: String,
    days: u32,
    now: Timestamp,
) -> (TokenSecret, TokenRecord) {
    let (kind, expires_at) = match owner {
        TokenOwner::User(_) => (TokenKind::Live, Some(expiry(now, days))),
        TokenOwner::Runner(_) => (TokenKind::Runner, None),
    };
    let secret = TokenSecret::from_bytes(kind, rand::random());
    let token = TokenRecord {
        id: clock::fresh(TokenId::from_uuid),
        owner,
        name,
        hash: secret.hash().to_string(),
        prefix: secret.shown_prefix(),
        expires_at,
        last_used_at: None,
        created_at: now,
    };
    (secret, token)
}

pub(super) fn expiry(now: Timestamp, days: u32) -> Timestamp {
    clock::after(now, DAY * days)
}

fn token_id(id: &str) -> Result<TokenId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("token", id))
}

/// The hash of what is written like a token.
fn hash_of(bearer: Option<&str>) -> Option<TokenHash> {
    let secret: TokenSecret = bearer?.parse().ok()?;
    Some(secret.hash())
}

pub(super) fn parse(bearer: Option<&str>, kind: TokenKind) -> Result<TokenSecret, AppError> {
    let secret: TokenSecret = bearer.ok_or_else(refused)?.parse().map_err(|_| refused())?;
    if secret.kind() == kind {
        Ok(secret)
    } else {
        Err(refused())
    }
}
