//! One newtype per kind of identifier, from two registries: UUIDs and SHA-256 digests.
//!
//! A string becomes an id at the edge and stays one. Parsing is strict (lowercase, canonical
//! form), because ids are compared as exact text (API 1.3).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use uuid::Uuid;

use crate::schema;

/// The text is not an identifier of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct IdError {
    /// The kind of identifier that was expected.
    pub kind: &'static str,
}

macro_rules! uuid_ids {
    ($($(#[doc = $doc:literal])* $name:ident = $kind:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// The id of a UUID, normally a fresh version 7 one.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID of the id.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { kind: $kind };
                let uuid = Uuid::try_parse(text).map_err(|_| error.clone())?;
                let canonical = uuid.as_hyphenated().to_string() == text;
                canonical.then_some(Self(uuid)).ok_or(error)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema::text(concat!($($doc),*), Some(schema::UUID_PATTERN), Some("uuid"))
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

uuid_ids! {
    /// A user, the owner of everything else.
    UserId = "user";
    /// An API or runner token.
    TokenId = "token";
    /// An agent: a name that points to its current version.
    AgentId = "agent";
    /// One execution of one agent version.
    RunId = "run";
    /// A volume or an artifact; the two kinds share one id space.
    StorageId = "storage";
    /// A line of runs that continue one conversation.
    SessionId = "session";
    /// The immutable end state of one completed run.
    CheckpointId = "checkpoint";
    /// What starts runs at certain times.
    ScheduleId = "schedule";
    /// A command in the sandbox of a running run.
    ExecId = "exec";
}

macro_rules! digest_ids {
    ($($(#[doc = $doc:literal])* $name:ident = $kind:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id with this SHA-256 digest.
            pub const fn from_digest(digest: [u8; 32]) -> Self {
                Self(digest)
            }

            /// The digest of the id.
            pub const fn digest(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 8 hex digits, the form in which people see versions.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { kind: $kind };
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(error);
                }
                let mut digest = [0; 32];
                hex::decode_to_slice(text, &mut digest).map_err(|_| error)?;
                Ok(Self(digest))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema::text(concat!($($doc),*), Some(schema::DIGEST_PATTERN), None)
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

digest_ids! {
    /// An agent version: the digest of its canonical configuration.
    AgentVersionId = "agent version";
    /// A version of a volume or artifact: the digest over its entries.
    VersionId = "version";
    /// A pack: the digest of its bytes.
    PackId = "pack";
    /// A manifest: the digest of its encoded bytes.
    ManifestId = "manifest";
    /// The contents of one file.
    ContentHash = "content";
    /// A saved conversation history: the digest of its encoded bytes.
    HistoryId = "history";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_compared_as_exact_text() {
        let text = "019bc134-7840-7cba-a551-2100f80b56fc";
        let id: RunId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert!(text.to_uppercase().parse::<RunId>().is_err());
        assert!(text.replace('-', "").parse::<RunId>().is_err());
        assert!("".parse::<RunId>().is_err());
    }

    #[test]
    fn digests_are_64_lowercase_hex_digits() {
        let text = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let id: VersionId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.short(), "5891b5b5");
        assert!(text[..63].parse::<VersionId>().is_err());
        assert!(text.to_uppercase().parse::<VersionId>().is_err());
    }
}
