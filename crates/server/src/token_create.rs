//! Making a token from the command line, beside a running server or without one.

use std::path::Path;
use std::time::Duration;

use vm0_model::name::is_user_name;
use vm0_model::token::{TokenKind, TokenSecret};
use vm0_model::{TokenId, UserId};
use vm0_store::record::{TokenOwner, TokenRecord};
use vm0_store::{SqliteStore, StoreError, UserStore};

use crate::clock;
use crate::data_dir::{DataDir, DataDirError};

const DAY: Duration = Duration::from_secs(24 * 3600);
const LABEL_MAX_CHARS: usize = 100;
const EXPIRES_MAX_DAYS: u32 = 365;

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
    #[error("accept the label: it must have 1 to {LABEL_MAX_CHARS} characters")]
    Label,
    /// The days until it expires.
    #[error("accept the expiry: it must be 1 to {EXPIRES_MAX_DAYS} days")]
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
    let now = clock::now();
    let (kind, owner, expires_at) = match request.owner {
        TokenFor::User(name) => {
            let id = clock::fresh(UserId::from_uuid);
            let user = store.user_ensure(id, &name, now).await?;
            let end = clock::after(now, DAY * request.expires_in_days);
            (TokenKind::Live, TokenOwner::User(user), Some(end))
        }
        TokenFor::Runner(name) => (TokenKind::Runner, TokenOwner::Runner(name), None),
    };
    let secret = TokenSecret::from_bytes(kind, rand::random());
    let token = TokenRecord {
        id: clock::fresh(TokenId::from_uuid),
        owner,
        name: request.label,
        hash: secret.hash().to_string(),
        prefix: secret.shown_prefix(),
        expires_at,
        last_used_at: None,
        created_at: now,
    };
    store.token_create(token).await?;
    Ok(secret.expose().to_owned())
}

fn check(request: &TokenRequest) -> Result<(), TokenCreateError> {
    let (TokenFor::User(name) | TokenFor::Runner(name)) = &request.owner;
    if !is_user_name(name) {
        return Err(TokenCreateError::Name { name: name.clone() });
    }
    if !(1..=LABEL_MAX_CHARS).contains(&request.label.chars().count()) {
        return Err(TokenCreateError::Label);
    }
    if !(1..=EXPIRES_MAX_DAYS).contains(&request.expires_in_days) {
        return Err(TokenCreateError::Expiry);
    }
    Ok(())
}
