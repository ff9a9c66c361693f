//! The forms in which the value of a secret may show up (agents 4.7).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::limits;

/// Lines of a multi-line secret are secrets themselves from this many characters on.
const LINE_MIN_CHARS: usize = 8;

/// What RFC 3986 leaves as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Base64 of a value within other text is a form of its own from this many characters on.
const BASE64_WITHIN_MIN_CHARS: usize = 8;
/// What common encoders leave as it is: `encodeURIComponent`, Python's `quote`, HTML forms, and
/// those that encode everything.
const URL_SETS: [AsciiSet; 5] = [
    NON_ALPHANUMERIC.add(b'-'),
    UNRESERVED,
    UNRESERVED.remove(b'/'),
    UNRESERVED
        .remove(b'!')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')'),
    UNRESERVED.remove(b'*').add(b'~'),
];

/// Every form of `value`, and of its lines if it has several: itself, JSON-escaped, in base64 (alone
/// or within other text), URL-encoded, HTML-escaped. Also what becomes of it on the way: the blanks
/// around a header are lost, and some servers take its bytes for Latin-1. None if the value is too short to be told from other text.
pub fn secret_forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    if !has_chars(value, limits::MASK_MIN_CHARS) {
        return forms;
    }
    add_forms(&mut forms, value);
    let trimmed = value.trim();
    if trimmed != value && has_chars(trimmed, limits::MASK_MIN_CHARS) {
        add_forms(&mut forms, trimmed);
    }
    if !value.is_ascii() {
        let latin1: String = trimmed.bytes().map(char::from).collect();
        add_forms(&mut forms, &latin1);
    }
    if value.trim_end().contains('\n') {
        let lines = value.lines().filter(|line| has_chars(line, LINE_MIN_CHARS));
        lines.for_each(|line| add_forms(&mut forms, line));
    }
    forms
}

/// `value` as it stands in a URL.
pub fn url_encoded(value: &str) -> String {
    utf8_percent_encode(value, &UNRESERVED).to_string()
}

fn has_chars(text: &str, count: usize) -> bool {
    text.chars().nth(count - 1).is_some()
}

fn add_forms(forms: &mut BTreeSet<String>, value: &str) {
    forms.insert(value.to_owned());
    add_json(forms, value);
    add_html(forms, value);
    add_base64_within(forms, value.as_bytes());
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        forms.insert(engine.encode(value));
    }
    for set in &URL_SETS {
        let upper = utf8_percent_encode(value, set).to_string();
        for encoded in [lower_hex(&upper), upper] {
            forms.insert(encoded.replace("%20", "+"));
            forms.insert(encoded);
        }
    }
}

fn add_json(forms: &mut BTreeSet<String>, value: &str) {
    let quoted = Value::from(value).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    for json in [escaped.to_owned(), ascii_escaped(escaped)] {
        // As PHP writes it, and as Go does.
        forms.insert(json.replace('/', "\\/"));
        let safe = json.replace('&', "\\u0026").replace('<', "\\u003c");
        forms.insert(safe.replace('>', "\\u003e"));
        forms.insert(json);
    }
}

fn add_html(forms: &mut BTreeSet<String>, value: &str) {
    let text = value.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;");
    for (double, single) in [
        ("&quot;", "&#x27;"),
        ("&quot;", "&#39;"),
        ("&quot;", "&#039;"),
        ("&quot;", "'"),
        ("&#34;", "&#39;"),
        ("\"", "'"),
    ] {
        forms.insert(text.replace('"', double).replace('\'', single));
    }
}

/// The characters of base64 that only the value decides when it stands between other bytes, for
/// each of the three places at which it can begin.
fn add_base64_within(forms: &mut BTreeSet<String>, value: &[u8]) {
    for before in 0..3 {
        let shifted = [&[0; 2][..before], value].concat();
        let start = if before == 0 { 0 } else { before + 1 };
        let shared = usize::from(shifted.len() % 3 != 0);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            let own = text.get(start..text.len() - shared).unwrap_or_default();
            if own.len() >= BASE64_WITHIN_MIN_CHARS {
                forms.insert(own.to_owned());
            }
        }
    }
}

/// JSON text in which everything beyond ASCII is `\uXXXX`, as many encoders write it.
fn ascii_escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

fn lower_hex(encoded: &str) -> String {
    let mut hex_left = 0;
    let lower = encoded.chars().map(|character| {
        if character == '%' {
            hex_left = 2;
            return character;
        }
        if hex_left > 0 {
            hex_left -= 1;
            return character.to_ascii_lowercase();
        }
        character
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(value: &str, text: &str) -> bool {
        secret_forms(value)
            .iter()
            .any(|form| text.contains(form.as_str()))
    }

    #[test]
    fn what_common_encoders_make_of_a_value_is_a_form_of_it() {
        let value = "a1/b2&c3<d4>e5\"f6'g7";
        for text in [
            "a1\\/b2&c3<d4>e5\\\"f6'g7",
            "a1/b2\\u0026c3\\u003cd4\\u003ee5\\\"f6'g7",
            "a1/b2&amp;c3&lt;d4&gt;e5&quot;f6&#x27;g7",
            "a1/b2&amp;c3&lt;d4&gt;e5&#34;f6&#39;g7",
        ] {
            assert!(hides(value, text), "{text}");
        }
        assert!(hides("one.two-three", "x=one%2Etwo%2Dthree"));
        assert!(hides(" blanks around ", "X: blanks around"));
        assert!(hides("gr\u{e4}ulich", "gr\u{c3}\u{a4}ulich"));
    }

    #[test]
    fn base64_of_a_value_between_other_bytes_is_a_form_of_it() {
        for value in ["secret-value", "secret-value1", "secret-value12"] {
            for before in 0..4 {
                for after in 0..4 {
                    let text = [&"<<<"[..before], value, &">>>"[..after]].concat();
                    for engine in [STANDARD, URL_SAFE] {
                        assert!(hides(value, &engine.encode(&text)), "{text}");
                    }
                }
            }
        }
        assert!(!hides("secret-value", &STANDARD.encode("another text")));
    }
}
