//! Where objects are: one layout for a local directory and for S3.

use object_store::path::Path;
use vm0_model::{HistoryId, ManifestId, PackId};

use crate::error::BlobError;

/// The longest session name.
const SESSION_MAX_BYTES: usize = 128;

fn sharded(kind: &str, id: &str) -> Path {
    Path::from(format!("{kind}/{}/{id}", &id[..2]))
}

pub(crate) fn pack_key(id: PackId) -> Path {
    sharded("packs", &id.to_string())
}

pub(crate) fn manifest_key(id: ManifestId) -> Path {
    sharded("manifests", &id.to_string())
}

pub(crate) fn history_key(id: HistoryId) -> Path {
    sharded("histories", &id.to_string())
}

/// The key of an object of an upload session, whose name is of letters, digits, `-` and `_`.
pub(crate) fn upload_key(session: &str, file_name: &str) -> Result<Path, BlobError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=SESSION_MAX_BYTES).contains(&session.len()) || !session.bytes().all(allowed) {
        return Err(BlobError::Session {
            session: session.to_owned(),
        });
    }
    Ok(Path::from(format!("uploads/{session}/{file_name}")))
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
