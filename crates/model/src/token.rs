//! API and runner tokens: their form, and the hash that is all the server keeps (API 1.2, 12).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::IdError;

/// Characters of a token that may be shown.
const SHOWN_CHARS: usize = 16;

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A user of the public API.
    Live,
    /// A runner.
    Runner,
}

impl TokenKind {
    /// What tokens of this kind begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "vm0_live_",
            Self::Runner => "vm0_runner_",
        }
    }
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid token")]
pub struct TokenError;

/// A token: `vm0_live_` or `vm0_runner_` and 64 lowercase hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret {
    kind: TokenKind,
    text: String,
}

impl TokenSecret {
    /// The token made of these random bytes.
    pub fn from_bytes(kind: TokenKind, bytes: [u8; 32]) -> Self {
        Self {
            kind,
            text: format!("{}{}", kind.prefix(), hex::encode(bytes)),
        }
    }

    /// Whom it is for.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The token itself, to be shown once or sent.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the server keeps.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.text).into())
    }

    /// `token_prefix` of the API: the first 16 characters and `...`.
    pub fn shown_prefix(&self) -> String {
        format!("{}...", &self.text[..SHOWN_CHARS])
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSecret({})", self.shown_prefix())
    }
}

impl FromStr for TokenSecret {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let kind = [TokenKind::Live, TokenKind::Runner]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))
            .ok_or(TokenError)?;
        let digits = &text[kind.prefix().len()..];
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.bytes().all(is_digit) {
            return Err(TokenError);
        }
        Ok(Self {
            kind,
            text: text.to_owned(),
        })
    }
}

/// The SHA-256 of a token's text. A token has 256 random bits, so no slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl FromStr for TokenHash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| IdError { kind: "token hash" })?;
        Ok(Self(digest))
    }
}

impl TryFrom<String> for TokenHash {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_what_it_is() {
        for kind in [TokenKind::Live, TokenKind::Runner] {
            let token = TokenSecret::from_bytes(kind, [0xab; 32]);
            assert_eq!(
                token.expose(),
                format!("{}{}", kind.prefix(), "ab".repeat(32))
            );
            let read: TokenSecret = token.expose().parse().unwrap();
            assert_eq!(read.kind(), kind);
            assert_eq!(read.hash(), token.hash());
        }
    }

    #[test]
    fn only_the_exact_form_is_a_token() {
        let good = format!("vm0_live_{}", "0f".repeat(32));
        assert!(good.parse::<TokenSecret>().is_ok());
        for bad in [
            "",
            "vm0_live_",
            "vm0_live_your-api-key",
            &good[..good.len() - 1],
            &format!("{good}0"),
            &format!(" {good}"),
            &good.to_uppercase(),
            &good.replace("0f", "0F"),
            &good.replace("vm0_live_", "vm0_test_"),
            &format!("vm0_live_{}", "é".repeat(32)),
        ] {
            assert_eq!(bad.parse::<TokenSecret>(), Err(TokenError), "{bad}");
        }
    }

    #[test]
    fn debug_output_does_not_show_a_token_or_its_hash() {
        let token = TokenSecret::from_bytes(TokenKind::Live, [0xab; 32]);
        assert_eq!(format!("{token:?}"), "TokenSecret(vm0_live_abababa...)");
        assert_eq!(format!("{:?}", token.hash()), "TokenHash(..)");
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_text() {
        let token = TokenSecret::from_bytes(TokenKind::Live, [0; 32]);
        let expected = hex::encode(Sha256::digest(token.expose()));
        assert_eq!(token.hash().to_string(), expected);
        assert_eq!(expected.parse::<TokenHash>(), Ok(token.hash()));
    }
}
