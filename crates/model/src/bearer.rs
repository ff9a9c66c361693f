//! Secrets whose bearer is let in: device codes, cookies of page sessions, sign-in links.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The text is not a secret of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lowercase hex digits")]
pub struct BearerSecretError;

/// 32 random bytes as 64 lowercase hex digits. The server keeps only their hash.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerSecret(String);

impl BearerSecret {
    /// The secret made of these random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The secret itself, to be sent to its bearer.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text, hex: what the server keeps. 256 random bits need no slow hash.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(&self.0))
    }
}

impl fmt::Debug for BearerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerSecret(..)")
    }
}

impl FromStr for BearerSecret {
    type Err = BearerSecretError;

    fn from_str(text: &str) -> Result<Self, BearerSecretError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BearerSecretError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lowercase_hex_digits_are_a_secret() {
        let secret = BearerSecret::from_bytes([0xab; 32]);
        assert_eq!(secret.expose(), "ab".repeat(32));
        assert_eq!(secret.expose().parse(), Ok(secret.clone()));
        for text in [
            "",
            "ab",
            &"AB".repeat(32),
            &"ab".repeat(33),
            &"é".repeat(32),
        ] {
            assert_eq!(
                text.parse::<BearerSecret>(),
                Err(BearerSecretError),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_server_keeps_and_prints_is_not_the_secret() {
        let secret = BearerSecret::from_bytes([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "BearerSecret(..)");
        assert_eq!(secret.hash(), hex::encode(Sha256::digest("ab".repeat(32))));
    }
}
