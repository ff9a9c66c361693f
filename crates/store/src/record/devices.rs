//! Programs that ask to sign in.

use vm0_model::device::{DeviceGrant, DeviceView};
use vm0_model::{Timestamp, TokenId, UserId};

use super::users::UserRecord;

/// A program that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Hash of the device code.
    pub hash: String,
    /// Keyed hash of the user code.
    pub user_code_hash: String,
    /// What the program says it is.
    pub client: Option<String>,
    /// Where the request came from, as far as that is known.
    pub address: Option<String>,
    /// When both codes stop to be valid.
    pub expires_at: Timestamp,
    /// The time of the request.
    pub now: Timestamp,
    /// Programs that may wait for a decision at a time.
    pub waiting_max: u32,
}

/// Whether a program may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceCreateOutcome {
    /// It waits now.
    Created,
    /// Another program has one of the codes.
    CodeTaken,
    /// Too many wait already.
    TooMany,
}

/// A program that asks, as a user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// What the program says it is.
    pub client: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// How far it is.
    pub grant: DeviceGrant,
    /// When it asked.
    pub created_at: Timestamp,
}

/// What a user decides about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDecision {
    /// Keyed hash of the user code.
    pub user_code_hash: String,
    /// The user, whose token an approved program gets.
    pub user: UserId,
    /// Approved, else denied.
    pub approved: bool,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceDecideOutcome {
    /// No program has the code.
    Unknown,
    /// What the code allowed: only an open one was decided.
    Known(DeviceView),
}

/// A poll, with the token that an approved program would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRedeem {
    /// Hash of the device code.
    pub hash: String,
    /// The token.
    pub token: DeviceTokenRecord,
    /// The time of the poll.
    pub now: Timestamp,
}

/// A token whose owner is the user who approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceTokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Its label.
    pub name: String,
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// What may be shown of it.
    pub prefix: String,
    /// When it stops to be valid.
    pub expires_at: Timestamp,
}

/// What a poll got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceRedeemOutcome {
    /// Nobody has decided yet.
    Pending,
    /// The poll came too soon.
    SlowDown,
    /// A user has denied it.
    Denied,
    /// The code is unknown, expired or used.
    Expired,
    /// The token was recorded, for this user.
    Granted(UserRecord),
}
