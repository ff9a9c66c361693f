//! Secrets are replaced by `***` in everything that leaves the runner (agents 4.7).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use vm0_model::secret_finder::SecretFinder;

/// What stands in the place of a secret.
const REPLACEMENT: &str = "***";
/// Keys whose text values are structure, not content.
const STRUCTURAL_KEYS: [&str; 2] = ["type", "subtype"];

/// Replaces the secrets of one run.
#[derive(Debug)]
pub(crate) struct Mask(SecretFinder);

impl Mask {
    /// A mask for every value of `secrets` that is long enough.
    pub(crate) fn new(secrets: &BTreeMap<String, String>) -> Self {
        Self(SecretFinder::new(secrets.values().map(String::as_str)))
    }

    /// Bytes of the longest pattern: text that is cut must be masked this far beyond the cut.
    pub(crate) fn longest(&self) -> usize {
        self.0.longest()
    }

    /// `text` without secrets.
    pub(crate) fn text(&self, text: String) -> String {
        let masked = self.bytes(text.into_bytes());
        String::from_utf8(masked).expect("a form is whole characters, and so is what is around it")
    }

    /// `bytes` without secrets.
    pub(crate) fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let places = self.places(&bytes);
        if places.is_empty() {
            return bytes;
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut end = 0;
        for place in places {
            masked.extend_from_slice(&bytes[end..place.start]);
            masked.extend_from_slice(REPLACEMENT.as_bytes());
            end = place.end;
        }
        masked.extend_from_slice(&bytes[end..]);
        masked
    }

    /// What is replaced: the longest of those that begin first, then the same behind its end.
    fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut places = self.0.occurrences(bytes);
        places.sort_by_key(|place| (place.start, Reverse(place.end)));
        let mut end = 0;
        places.retain(|place| {
            let free = place.start >= end;
            if free {
                end = place.end;
            }
            free
        });
        places
    }

    /// Masks every text value of `value` at any depth, but not keys, `type` and `subtype`.
    pub(crate) fn json(&self, value: &mut Value) {
        if self.0.forms().is_empty() {
            return;
        }
        match value {
            Value::String(text) => *text = self.text(std::mem::take(text)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => {
                for (key, field) in fields {
                    let structural = field.is_string() && STRUCTURAL_KEYS.contains(&key.as_str());
                    if !structural {
                        self.json(field);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What RFC 3986 leaves as it is.
    const UNRESERVED: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');

    fn mask(values: &[&str]) -> Mask {
        let named = values
            .iter()
            .enumerate()
            .map(|(n, v)| (format!("S{n}"), (*v).to_owned()));
        Mask::new(&named.collect())
    }

    #[test]
    fn every_listed_form_of_a_secret_is_masked() {
        let secret = "pä ss/\"w\\ö?rd+1";
        let mask = mask(&[secret]);
        let forms = [
            secret,
            r#"pä ss/\"w\\ö?rd+1"#,
            r#"p\u00e4 ss/\"w\\\u00f6?rd+1"#,
            "cMOkIHNzLyJ3XMO2P3JkKzE=",
            "cMOkIHNzLyJ3XMO2P3JkKzE",
            "p%C3%A4%20ss%2F%22w%5C%C3%B6%3Frd%2B1",
            "p%c3%a4+ss%2f%22w%5c%c3%b6%3frd%2b1",
            "p%C3%A4+ss/%22w%5C%C3%B6%3Frd%2B1",
        ];
        for form in forms {
            assert_eq!(mask.text(format!("a{form}z")), "a***z", "{form}");
        }
    }

    #[test]
    fn short_values_are_left_and_long_lines_of_a_secret_are_not() {
        let mask = mask(&["abcd", "first line\nshort\nlast line 2"]);
        assert_eq!(mask.text("abcd short".into()), "abcd short");
        assert_eq!(mask.text("x first line y".into()), "x *** y");
        assert_eq!(mask.text("first line\nshort\nlast line 2".into()), "***");
    }

    #[test]
    fn the_longest_pattern_wins() {
        let mask = mask(&["secret", "secret-and-more"]);
        assert_eq!(mask.text("secret-and-more secret".into()), "*** ***");
    }

    #[test]
    fn keys_and_types_of_events_stay() {
        let mask = mask(&["result"]);
        let mut event = json!({
            "type": "result", "subtype": "result", "result": "a result",
            "nested": [{"type": "result", "text": ["result"]}], "n": 1
        });
        mask.json(&mut event);
        let masked = json!({
            "type": "result", "subtype": "result", "result": "a ***",
            "nested": [{"type": "result", "text": ["***"]}], "n": 1
        });
        assert_eq!(event, masked);
    }

    proptest! {
        #[test]
        fn no_secret_survives_in_any_form(
            secrets in prop::collection::vec("[a-zA-Z0-9 /+\"\\\\ä\u{1f600}%&]{5,20}", 1..4),
            form in 0usize..8,
            around in "[a-z ]{0,10}",
        ) {
            let refs: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let mask = mask(&refs);
            for secret in &secrets {
                let escaped = Value::from(secret.as_str()).to_string();
                let shown = match form {
                    0 => secret.clone(),
                    1 => escaped[1..escaped.len() - 1].to_owned(),
                    2 => STANDARD.encode(secret),
                    3 => STANDARD_NO_PAD.encode(secret),
                    4 => URL_SAFE.encode(secret),
                    5 => URL_SAFE_NO_PAD.encode(secret),
                    6 => utf8_percent_encode(secret, &UNRESERVED).to_string(),
                    _ => utf8_percent_encode(secret, &UNRESERVED).to_string().replace("%20", "+"),
                };
                let text = format!("{around}{shown}{around}");
                prop_assert!(!mask.text(text.clone()).contains(&shown));
                prop_assert!(!mask.bytes(text.clone().into_bytes()).windows(shown.len()).any(|w| w == shown.as_bytes()));
                let mut event = serde_json::json!({"a": [{"b": text}]});
                mask.json(&mut event);
                prop_assert!(!event["a"][0]["b"].as_str().unwrap().contains(&shown));
            }
        }
    }
}
