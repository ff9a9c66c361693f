//! The record of administrative actions.

use std::fmt;
use std::str::FromStr;

use vm0_model::{Timestamp, TokenId};

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal;)*) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum AuditAction {
            $($(#[doc = $doc])* $variant,)*
        }

        impl AuditAction {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

actions! {
    /// A user was made.
    UserCreate = "user.create";
    /// A token was made.
    TokenCreate = "token.create";
    /// A token was deleted.
    TokenDelete = "token.delete";
    /// A user signed in on the server's pages.
    SignIn = "sign_in";
    /// A user let a program sign in.
    DeviceApprove = "device.approve";
    /// A user did not let a program sign in.
    DeviceDeny = "device.deny";
    /// A stored secret was set.
    SecretSet = "secret.set";
    /// A stored secret was deleted.
    SecretDelete = "secret.delete";
    /// An agent was deleted.
    AgentDelete = "agent.delete";
    /// A volume or an artifact was deleted.
    StorageDelete = "storage.delete";
    /// The network policy of a run was changed.
    RunNetwork = "run.network";
    /// What nothing refers to, or what is old, was removed.
    Gc = "gc";
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no action of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("know the action")]
pub struct AuditActionError;

impl FromStr for AuditAction {
    type Err = AuditActionError;

    fn from_str(text: &str) -> Result<Self, AuditActionError> {
        let mut all = Self::ALL.iter().copied();
        all.find(|action| action.as_str() == text)
            .ok_or(AuditActionError)
    }
}

/// Who acts, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// `user NAME`, `operator NAME`, or `server`.
    pub who: String,
    /// The token that it used.
    pub token: Option<TokenId>,
    /// Where it asked from.
    pub address: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A line of the record. It never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, in the order in which the actions were stored.
    pub seq: u64,
    /// Who did it, and when.
    pub acting: Acting,
    /// What was done.
    pub action: AuditAction,
    /// To what, as a kind and a name or id.
    pub object: String,
}
