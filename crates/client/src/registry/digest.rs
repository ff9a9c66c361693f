//! Digests: the names of contents.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 digits, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

/// The text is no digest.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a digest is sha256: and 64 hex digits")]
pub struct NotADigest;

impl Digest {
    /// The digest of a content.
    pub(super) fn of(content: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(content))
    }

    /// The digest of what was hashed.
    pub(super) fn finish(hash: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").ok_or(NotADigest)?;
        let fine = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_digest = hex.len() == 64 && hex.bytes().all(fine);
        is_digest.then(|| Self(text.to_owned())).ok_or(NotADigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
