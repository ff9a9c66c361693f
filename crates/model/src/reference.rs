//! Version references: what people write where a version is meant (API 9.4).

use std::str::FromStr;

/// Shortest prefix that may stand for a version, in characters.
pub const VERSION_PREFIX_MIN_CHARS: usize = 8;

/// Digits of a version id.
const VERSION_ID_CHARS: usize = 64;

/// A well-formed version reference; `I` is [`VersionId`](crate::VersionId) or
/// [`AgentVersionId`](crate::AgentVersionId).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionRef<I> {
    /// The head.
    Latest,
    /// A whole version id.
    Exact(I),
    /// 8 to 63 hex digits in lower case.
    Prefix(String),
}

/// Why a version reference does not name a version. The texts are those of API 9.4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionRefError {
    /// Fewer than [`VERSION_PREFIX_MIN_CHARS`] characters.
    #[error("Version prefix too short. Minimum {VERSION_PREFIX_MIN_CHARS} characters required.")]
    TooShort,
    /// Not hex digits, or more than 64.
    #[error("Version \"{0}\" not found")]
    Malformed(String),
    /// Well formed, but there is no such version.
    #[error("Version \"{0}\" not found")]
    NotFound(String),
    /// The prefix of several versions.
    #[error("Ambiguous version prefix \"{0}\". Please use more characters.")]
    Ambiguous(String),
}

impl<I: FromStr + Copy> VersionRef<I> {
    /// Reads a reference in a run field or in a configuration. Letter case does not matter.
    ///
    /// # Errors
    /// `TooShort` or `Malformed`.
    pub fn parse(value: &str) -> Result<Self, VersionRefError> {
        if value.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        Self::parse_id(value)
    }

    /// Reads the `version_id` of a download, where `latest` is not known.
    ///
    /// # Errors
    /// `TooShort` or `Malformed`.
    pub fn parse_id(value: &str) -> Result<Self, VersionRefError> {
        if value.chars().count() < VERSION_PREFIX_MIN_CHARS {
            return Err(VersionRefError::TooShort);
        }
        let malformed = || VersionRefError::Malformed(value.to_owned());
        if value.len() > VERSION_ID_CHARS || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let lower = value.to_ascii_lowercase();
        if lower.len() < VERSION_ID_CHARS {
            return Ok(Self::Prefix(lower));
        }
        lower.parse().map(Self::Exact).map_err(|_| malformed())
    }
}

/// Decides by the versions that match `value`; two of them are enough to know that it is ambiguous.
///
/// # Errors
/// `NotFound` without a match, `Ambiguous` with several.
pub fn choose_match<I: Copy>(value: &str, matches: &[I]) -> Result<I, VersionRefError> {
    match matches {
        [] => Err(VersionRefError::NotFound(value.to_owned())),
        [only] => Ok(*only),
        _ => Err(VersionRefError::Ambiguous(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::VersionId;

    const ID: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn parse(value: &str) -> Result<VersionRef<VersionId>, VersionRefError> {
        VersionRef::parse(value)
    }

    #[test]
    fn letter_case_does_not_matter() {
        assert_eq!(parse("Latest"), Ok(VersionRef::Latest));
        assert_eq!(
            parse("5891B5b5"),
            Ok(VersionRef::Prefix("5891b5b5".to_owned()))
        );
        assert_eq!(
            parse(&ID.to_uppercase()),
            Ok(VersionRef::Exact(ID.parse().unwrap()))
        );
        assert_eq!(
            parse(&ID[..63]),
            Ok(VersionRef::Prefix(ID[..63].to_owned()))
        );
    }

    #[test]
    fn the_first_matching_row_gives_the_message() {
        let message = |value: &str| parse(value).unwrap_err().to_string();
        let too_short = "Version prefix too short. Minimum 8 characters required.";
        for value in ["", "5891b5b", "xyz", "ééééééé"] {
            assert_eq!(message(value), too_short);
        }
        assert_eq!(message("not-hex-1"), "Version \"not-hex-1\" not found");
        let long = format!("{ID}0");
        assert_eq!(message(&long), format!("Version \"{long}\" not found"));
        let download = VersionRef::<VersionId>::parse_id("latest").unwrap_err();
        assert_eq!(download.to_string(), too_short);
    }

    #[test]
    fn a_prefix_names_a_version_only_if_it_is_the_only_one() {
        let (a, b) = (
            VersionId::from_digest([1; 32]),
            VersionId::from_digest([2; 32]),
        );
        assert_eq!(choose_match("0101ABCD", &[a]), Ok(a));
        assert_eq!(
            choose_match::<VersionId>("0101ABCD", &[])
                .unwrap_err()
                .to_string(),
            "Version \"0101ABCD\" not found"
        );
        assert_eq!(
            choose_match("0101ABCD", &[a, b]).unwrap_err().to_string(),
            "Ambiguous version prefix \"0101ABCD\". Please use more characters."
        );
    }

    proptest! {
        #[test]
        fn every_prefix_of_an_id_is_read(length in 8_usize..64, upper in any::<bool>()) {
            let prefix = &ID[..length];
            let value = if upper { prefix.to_uppercase() } else { prefix.to_owned() };
            prop_assert_eq!(parse(&value), Ok(VersionRef::Prefix(prefix.to_owned())));
        }

        #[test]
        fn a_prefix_is_plain_lower_case_hex(value in "\\PC{0,80}|[0-9a-fA-F]{0,70}") {
            if let Ok(VersionRef::Prefix(prefix)) = parse(&value) {
                prop_assert!((8..64).contains(&prefix.len()));
                prop_assert!(prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
            }
        }
    }
}
