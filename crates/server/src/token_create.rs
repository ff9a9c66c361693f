//! Making a token from the command line, beside a running server or without one.

use std::path::Path;

use vm0_model::UserId;
use vm0_model::limits::{TOKEN_EXPIRES_MAX_DAYS, TOKEN_NAME_MAX_CHARS};
use vm0_model::name::is_user_name;
use vm0_store::record::TokenOwner;
use vm0_store::{AuditStore, SqliteStore, StoreError};

use crate::app::{fresh_token, operator};
use crate::clock;
use crate::data_dir::{DataDir, DataDirError};

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenFor {
    /// This user, made if there is none of the name.
    User(String),
    /// A runner of this name.
    Runner(String),
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Whom it is for.
    pub owner: TokenFor,
    /// Its label, 1–100 characters.
    pub label: String,
    /// Days until it expires, 1–365; tokens of runners do not.
    pub expires_in_days: u32,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum TokenCreateError {
    /// The name of the user or runner.
    #[error(
        "accept the name {name:?}: it must be 1-64 letters, digits or '._@-' and begin with a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The label.
    #[error("accept the label: it must have 1 to {TOKEN_NAME_MAX_CHARS} characters")]
    Label,
    /// The days until it expires.
    #[error("accept the expiry: it must be 1 to {TOKEN_EXPIRES_MAX_DAYS} days")]
    Expiry,
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error("use the database")]
    Store(#[from] StoreError),
}

/// Makes a token, valid at once, and returns it; it is stored only as a hash.
///
/// # Errors
///
/// When a value is out of range, or the data directory or database cannot be used.
pub async fn token_create(
    data_dir: &Path,
    request: TokenRequest,
) -> Result<String, TokenCreateError> {
    check(&request)?;
    let directory = DataDir::open(data_dir)?;
    let store = SqliteStore::open(&directory.database()).await?;
    let store = store.acting(operator());
    let now = clock::now();
    let owner = match request.owner {
        TokenFor::User(name) => {
            let id = clock::fresh(UserId::from_uuid);
            TokenOwner::User(store.user_ensure(id, &name, now).await?)
        }
        TokenFor::Runner(name) => TokenOwner::Runner(name),
    };
    let (secret, token) = fresh_token(owner, request.label, request.expires_in_days, now);
    store.token_create(token).await?;
    Ok(secret.expose().to_owned())
}

fn check(request: &TokenRequest) -> Result<(), TokenCreateError> {
    let (TokenFor::User(name) | TokenFor::Runner(name)) = &request.owner;
    if !is_user_name(name) {
        return Err(TokenCreateError::Name { name: name.clone() });
    }
    if !(1..=TOKEN_NAME_MAX_CHARS).contains(&request.label.chars().count()) {
        return Err(TokenCreateError::Label);
    }
    if !(1..=TOKEN_EXPIRES_MAX_DAYS).contains(&request.expires_in_days) {
        return Err(TokenCreateError::Expiry);
    }
    Ok(())
}
