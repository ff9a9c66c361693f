//! Host names as rules and bindings write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest host name, in bytes.
const HOST_MAX_BYTES: usize = 253;

/// A host name in lower-case punycode, or `*.` and one: any depth below it, not itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

/// The text is no host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a host name, or *. and a host name")]
pub struct HostPatternError;

impl HostPattern {
    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a host name, in lower-case punycode, matches.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(suffix) => host
                .strip_suffix(suffix)
                .is_some_and(|below| !below.is_empty()),
            None => self.0 == host,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => ("*.", name),
            None => ("", text),
        };
        if name.parse::<IpAddr>().is_ok() {
            return Err(HostPatternError);
        }
        let ascii = idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::URL)
            .map_err(|_| HostPatternError)?
            .to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let last_is_number = ascii
            .rsplit('.')
            .next()
            .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        if ascii.len() > HOST_MAX_BYTES || last_is_number || !ascii.split('.').all(is_label) {
            return Err(HostPatternError);
        }
        Ok(Self(format!("{wildcard}{ascii}")))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_kept_in_lower_case_punycode() {
        assert_eq!(pattern("API.Example.com").as_str(), "api.example.com");
        assert_eq!(
            pattern("*.Bücher.example").as_str(),
            "*.xn--bcher-kva.example"
        );
        assert_eq!(pattern("localhost").as_str(), "localhost");
    }

    #[test]
    fn addresses_urls_and_broken_names_are_refused() {
        for bad in [
            "",
            "*",
            "*.",
            ".a",
            "a.",
            "a..b",
            "*.*.a",
            "a.*.b",
            "127.0.0.1",
            "::1",
            "1.2.3",
            "https://a",
            "a:443",
            "a/b",
            "a b",
            "-a.b",
            "a-.b",
            "a\n",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wildcard_means_any_depth_below_but_not_itself() {
        let wildcard = pattern("*.example.com");
        assert!(wildcard.matches("a.example.com") && wildcard.matches("a.b.example.com"));
        for host in [
            "example.com",
            "badexample.com",
            ".example.com",
            "example.com.evil",
        ] {
            assert!(!wildcard.matches(host), "{host}");
        }
        assert!(pattern("example.com").matches("example.com"));
        assert!(!pattern("example.com").matches("a.example.com"));
    }

    proptest! {
        #[test]
        fn a_pattern_is_read_back_as_itself(text in "(\\*\\.)?[a-zA-Z0-9éü_-]{1,6}(\\.[a-zA-Z]{2,4}){0,2}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.as_str().parse(), Ok(pattern.clone()));
                prop_assert!(pattern.as_str().is_ascii());
            }
        }
    }
}
