//! Where objects are: one layout for a local directory and for S3.

use object_store::path::Path;
use vm0_model::{HistoryId, ManifestId, PackId};

use crate::error::BlobError;

/// Where the objects of upload sessions are.
pub(crate) const UPLOADS: &str = "uploads";
/// Where it is noted which objects are condemned.
const CONDEMNED: &str = "condemned";
/// The longest session name.
const SESSION_MAX_BYTES: usize = 128;

/// The kinds of objects that rows name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Entries of versions.
    Manifest,
    /// File contents.
    Pack,
    /// Conversations.
    History,
}

/// An object that rows name, or that a manifest names which rows name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectId {
    /// The entries of a version.
    Manifest(ManifestId),
    /// File contents.
    Pack(PackId),
    /// A conversation.
    History(HistoryId),
}

impl ObjectKind {
    /// In the order in which they are swept: what names others goes first.
    pub const ALL: [Self; 3] = [Self::Manifest, Self::Pack, Self::History];

    /// Its name in the singular.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Pack => "pack",
            Self::History => "history",
        }
    }

    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Manifest => "manifests",
            Self::Pack => "packs",
            Self::History => "histories",
        }
    }
}

impl ObjectId {
    /// Its kind.
    pub const fn kind(self) -> ObjectKind {
        match self {
            Self::Manifest(_) => ObjectKind::Manifest,
            Self::Pack(_) => ObjectKind::Pack,
            Self::History(_) => ObjectKind::History,
        }
    }

    /// SHA-256 of its bytes.
    pub(crate) const fn digest(&self) -> &[u8; 32] {
        match self {
            Self::Manifest(id) => id.digest(),
            Self::Pack(id) => id.digest(),
            Self::History(id) => id.digest(),
        }
    }

    pub(crate) fn key(self) -> Path {
        sharded(self.kind().prefix(), &self.to_string())
    }

    /// The object of this kind whose id is the last part of a key.
    pub(crate) fn of_key(kind: ObjectKind, key: &Path) -> Option<Self> {
        let id = key.filename()?;
        match kind {
            ObjectKind::Manifest => id.parse().ok().map(Self::Manifest),
            ObjectKind::Pack => id.parse().ok().map(Self::Pack),
            ObjectKind::History => id.parse().ok().map(Self::History),
        }
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manifest(id) => id.fmt(f),
            Self::Pack(id) => id.fmt(f),
            Self::History(id) => id.fmt(f),
        }
    }
}

fn sharded(prefix: &str, id: &str) -> Path {
    Path::from(format!("{prefix}/{}/{id}", &id[..2]))
}

pub(crate) fn pack_key(id: PackId) -> Path {
    ObjectId::Pack(id).key()
}

pub(crate) fn manifest_key(id: ManifestId) -> Path {
    ObjectId::Manifest(id).key()
}

pub(crate) fn history_key(id: HistoryId) -> Path {
    ObjectId::History(id).key()
}

/// Where it is noted which objects of a kind are condemned.
pub(crate) fn condemned_prefix(kind: ObjectKind) -> Path {
    Path::from(format!("{CONDEMNED}/{}", kind.prefix()))
}

/// Where it is noted that an object is condemned.
pub(crate) fn condemned_key(id: ObjectId) -> Path {
    sharded(
        &format!("{CONDEMNED}/{}", id.kind().prefix()),
        &id.to_string(),
    )
}

/// The key of an object of an upload session.
pub(crate) fn upload_key(session: &str, file_name: &str) -> Result<Path, BlobError> {
    Ok(upload_prefix(session)?.join(file_name))
}

/// Where the objects of an upload session are, whose name is of letters, digits, `-` and `_`.
pub(crate) fn upload_prefix(session: &str) -> Result<Path, BlobError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=SESSION_MAX_BYTES).contains(&session.len()) || !session.bytes().all(allowed) {
        return Err(BlobError::Session {
            session: session.to_owned(),
        });
    }
    Ok(Path::from(format!("{UPLOADS}/{session}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_cannot_leave_its_directory() {
        assert!(upload_key("019bc134-7840", "manifest.json").is_ok());
        for session in ["", ".", "..", "a/b", "a\0", "é", &"a".repeat(129)] {
            assert!(upload_key(session, "manifest.json").is_err(), "{session:?}");
        }
    }
}
