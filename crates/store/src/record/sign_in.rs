//! Signing in on the server's pages: one-time links and sessions.

use vm0_model::{Timestamp, TokenId, UserId};

use super::users::UserRecord;

/// A one-time link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSignInLink {
    /// Hash of its secret.
    pub hash: String,
    /// Whom it signs in; `None` for the first user, who is made with it.
    pub user: Option<UserId>,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
    /// When it is made.
    pub now: Timestamp,
    /// Links of the user that are kept, this one included.
    pub kept: u32,
}

/// A one-time link as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLinkRecord {
    /// Whom it signs in; `None` for the first user.
    pub user: Option<UserRecord>,
    /// Whether it was used.
    pub used: bool,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
}

/// The use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLinkUse {
    /// Hash of its secret.
    pub hash: String,
    /// The user to make, by a link that is for the first one.
    pub first_user: Option<UserRecord>,
    /// Hash of the secret of the session that begins.
    pub session_hash: String,
    /// When the session ends.
    pub session_expires_at: Timestamp,
    /// Sessions of the user that are kept, this one included.
    pub sessions_kept: u32,
    /// The time of the use.
    pub now: Timestamp,
}

/// What came of the use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInLinkOutcome {
    /// The session has begun.
    SignedIn(UserRecord),
    /// There is no such link.
    Unknown,
    /// It was used before.
    Used,
    /// It is too old.
    Expired,
    /// It is for the first user, and there is a user.
    NotFirst,
    /// It is for the first user, who was not named.
    Unnamed,
}

/// A session that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPageSession {
    /// Hash of its secret.
    pub hash: String,
    /// The user.
    pub user: UserId,
    /// The token by which it begins, and with which it ends.
    pub token: Option<TokenId>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it begins.
    pub now: Timestamp,
    /// Sessions of the user that are kept, this one included.
    pub kept: u32,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSessionRecord {
    /// The user.
    pub user: UserRecord,
    /// When it ends.
    pub expires_at: Timestamp,
}
