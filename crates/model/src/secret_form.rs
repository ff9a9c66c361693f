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
/// What common encoders leave as it is: `encodeURIComponent`, Python's `quote`, HTML forms.
const URL_SETS: [AsciiSet; 4] = [
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

/// Every form of `value`, and of its lines if it has several: itself, JSON-escaped, in base64,
/// URL-encoded. None if the value is too short to be told from other text.
pub fn secret_forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    if !has_chars(value, limits::MASK_MIN_CHARS) {
        return forms;
    }
    add_forms(&mut forms, value);
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
    let escaped = Value::from(value).to_string();
    forms.insert(escaped[1..escaped.len() - 1].to_owned());
    forms.insert(ascii_escaped(&escaped[1..escaped.len() - 1]));
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
