//! The pieces of the schema: types, and the patterns of what people write.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use crate::path::{RESERVED_PATHS, RESERVED_TREES};

/// A template of either kind.
pub(super) const TEMPLATE: &str =
    r"\$\{\{[ \t\n\f\r]*(vars|secrets)\.[A-Za-z_][A-Za-z0-9_]*[ \t\n\f\r]*\}\}";
/// A template of a variable.
pub(super) const VARIABLE: &str = r"\$\{\{[ \t\n\f\r]*vars\.[A-Za-z_][A-Za-z0-9_]*[ \t\n\f\r]*\}\}";
/// A template of a secret.
pub(super) const SECRET: &str =
    r"\$\{\{[ \t\n\f\r]*secrets\.[A-Za-z_][A-Za-z0-9_]*[ \t\n\f\r]*\}\}";
/// A variable's or a secret's name.
pub(super) const NAME: &str = "[A-Za-z_][A-Za-z0-9_]*";
/// A key below `volumes`.
pub(super) const VOLUME_KEY: &str = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}";
/// A relative path that stays where it begins, without its first `^` and its last `$`.
pub(super) const INSIDE: &str = r"(?!/)(?!([^\u0000]*/)?\.\.(/|$))[^\u0000]+";

/// Anything that matches a pattern somewhere.
pub(super) fn has(pattern: &str) -> Value {
    json!({ "pattern": pattern })
}

/// A string without templates.
pub(super) fn plain_text(about: &str) -> Value {
    json!({ "description": about, "type": "string", "not": has(TEMPLATE) })
}

/// A string without templates that matches a pattern.
pub(super) fn plain_pattern(about: &str, pattern: &str) -> Value {
    let mut form = plain_text(about);
    form["pattern"] = json!(pattern);
    form
}

/// One of some words.
pub(super) fn choice<'a>(
    about: &str,
    words: impl IntoIterator<Item = &'a str>,
    default: Option<&str>,
) -> Value {
    let words: Vec<_> = words.into_iter().collect();
    let mut form = json!({ "description": about, "enum": words });
    if let Some(default) = default {
        form["default"] = json!(default);
    }
    form
}

/// A truth value.
pub(super) fn boolean(default: bool, about: &str) -> Value {
    json!({ "description": about, "type": "boolean", "default": default })
}

/// A whole number in a range.
pub(super) fn integer(range: &RangeInclusive<u32>, default: Option<u32>, about: &str) -> Value {
    let mut form = json!({
        "description": about,
        "type": "integer",
        "minimum": range.start(),
        "maximum": range.end(),
    });
    if let Some(default) = default {
        form["default"] = json!(default);
    }
    form
}

/// A list.
pub(super) fn list(about: &str, count: RangeInclusive<usize>, items: Value) -> Value {
    let mut form = json!({ "description": about, "type": "array", "items": items });
    if *count.start() > 0 {
        form["minItems"] = json!(count.start());
    }
    if *count.end() < usize::MAX {
        form["maxItems"] = json!(count.end());
    }
    form
}

/// A map whose keys the user chooses.
pub(super) fn map_of(about: &str, names: &str, of: Value) -> Value {
    json!({
        "description": about,
        "type": "object",
        "propertyNames": has(names),
        "additionalProperties": of,
    })
}

/// A map with fixed keys.
pub(super) fn object(keys: &[&str], required: &[&str], form: impl Fn(&str) -> Value) -> Value {
    let properties: Map<_, _> = keys
        .iter()
        .map(|key| ((*key).to_owned(), form(key)))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Whether `key` is there and has this value.
pub(super) fn is(key: &str, value: impl Into<Value>) -> Value {
    json!({ "properties": { key: { "const": value.into() } }, "required": [key] })
}

/// None of these keys is there.
pub(super) fn without(keys: &[&str]) -> Value {
    let none = |key: &&str| ((*key).to_owned(), Value::Bool(false));
    json!({ "properties": keys.iter().map(none).collect::<Map<_, _>>() })
}

/// The working directory or a mount's path (agents 4.2), without the first `^`.
pub(super) fn sandbox_path() -> String {
    let escaped = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| path.replace('.', r"\.")).collect();
        paths.join("|")
    };
    let (paths, trees) = (escaped(&RESERVED_PATHS), escaped(&RESERVED_TREES));
    format!(r"(?!({paths})$)(?!({trees})(/|$))(/(?!\.{{1,2}}(/|$))[^/\u0000]+)+$")
}

/// `text` with `default VALUE` behind it.
pub(super) fn with_default(about: &str, default: impl Display) -> String {
    format!("{about} Default: {default}.")
}
