//! Reading a JSON object field by field, so that a fault names the field by its dot path.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use secrecy::SecretString;
use serde_json::{Map, Value};
use vm0_model::{ApiError, limits};

/// A JSON object and where it stands in the body.
pub(super) struct Fields {
    object: Map<String, Value>,
    prefix: String,
}

impl fmt::Debug for Fields {
    /// Without values: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.object.keys().collect();
        f.debug_tuple("Fields").field(&keys).finish()
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Fields {
    /// The object that a whole body is.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let invalid = |why: String| ApiError::invalid("body", why);
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(Self {
                object,
                prefix: String::new(),
            }),
            Ok(other) => Err(invalid(format!(
                "The body must be a JSON object, not {}",
                kind_of(&other)
            ))),
            Err(error) => Err(invalid(format!("The body is not valid JSON: {error}"))),
        }
    }

    /// The object that a part of a body is, at `path`.
    pub(super) fn parse_part(path: &str, text: &str) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ApiError::invalid(path, error.to_string()))?;
        match value {
            Value::Object(object) => Ok(Self {
                object,
                prefix: format!("{path}."),
            }),
            other => Err(mismatch(path, "an object", &other)),
        }
    }

    /// The whole object.
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.object)
    }

    /// Where a field stands in the body.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The value of a field, with `null` as absence.
    fn given(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The value of a field, `null` as it is.
    pub(super) fn raw(&self, key: &str) -> Option<&Value> {
        self.object.get(key)
    }

    /// An optional string.
    pub(super) fn string(&self, key: &str) -> Result<Option<String>, ApiError> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(mismatch(&self.path(key), "a string", other)),
        }
    }

    /// A required string.
    pub(super) fn required_string(&self, key: &str) -> Result<String, ApiError> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// A required string that is a secret: no copy of it stays here.
    pub(super) fn required_secret(&mut self, key: &str) -> Result<SecretString, ApiError> {
        match self.object.remove(key) {
            None | Some(Value::Null) => Err(self.missing(key)),
            Some(Value::String(text)) => Ok(text.into()),
            Some(other) => Err(mismatch(&self.path(key), "a string", &other)),
        }
    }

    /// A required object.
    pub(super) fn required_object(&self, key: &str) -> Result<&Value, ApiError> {
        match self.given(key) {
            None => Err(self.missing(key)),
            Some(value @ Value::Object(_)) => Ok(value),
            Some(other) => Err(mismatch(&self.path(key), "an object", other)),
        }
    }

    /// An optional boolean.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(mismatch(&self.path(key), "a boolean", other)),
        }
    }

    /// An optional integer in a range, without fraction or exponent.
    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.given(key) else {
            return Ok(None);
        };
        let path = self.path(key);
        if !value.is_number() {
            return Err(mismatch(&path, "an integer", value));
        }
        let number = value.as_u64().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let message = format!(
                "{path} must be an integer from {} to {}",
                range.start(),
                range.end()
            );
            ApiError::invalid(path, message)
        })
    }

    /// An optional object of strings.
    pub(super) fn string_map(
        &self,
        key: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let object = match self.given(key) {
            None => return Ok(None),
            Some(Value::Object(object)) => object,
            Some(other) => return Err(mismatch(&self.path(key), "an object", other)),
        };
        let entry = |(name, value): (&String, &Value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            other => Err(mismatch(
                &format!("{}.{name}", self.path(key)),
                "a string",
                other,
            )),
        };
        object.iter().map(entry).collect::<Result<_, _>>().map(Some)
    }

    /// `message`: at most 1000 characters, empty means none.
    pub(super) fn message(&self) -> Result<Option<String>, ApiError> {
        let message = self
            .string("message")?
            .filter(|message| !message.is_empty());
        let max = limits::MESSAGE_MAX_CHARS;
        if message
            .as_ref()
            .is_some_and(|message| message.chars().count() > max)
        {
            let text = format!("message must be at most {max} characters long");
            return Err(ApiError::invalid("message", text));
        }
        Ok(message)
    }

    /// The fault of a required field that is not there.
    pub(super) fn missing(&self, key: &str) -> ApiError {
        let path = self.path(key);
        ApiError::invalid(path.clone(), format!("{path} is required"))
    }
}

fn mismatch(path: &str, wanted: &str, found: &Value) -> ApiError {
    ApiError::invalid(
        path,
        format!("{path} must be {wanted}, not {}", kind_of(found)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    fn param<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
        result.unwrap_err().param.unwrap()
    }

    #[test]
    fn what_is_no_json_object_is_a_fault_of_the_body() {
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "{",
            "[]",
            "null",
            "\"x\"",
            "{\"a\":\"\\ud800\"}",
            "{}x",
            deep.as_str(),
        ] {
            assert_eq!(param(Fields::parse(body.as_bytes())), "body", "{body:.20}");
        }
        assert_eq!(param(Fields::parse(b"{\"a\":\"\xff\"}")), "body");
    }

    #[test]
    fn a_fault_names_its_field_by_dot_path() {
        let body = fields(r#"{"prompt":1,"variables":{"DEBUG":true},"n":1.0,"m":1e2,"o":-1}"#);
        assert_eq!(param(body.string("prompt")), "prompt");
        assert_eq!(param(body.string_map("variables")), "variables.DEBUG");
        for key in ["n", "m", "o"] {
            assert_eq!(param(body.integer(key, 0..=100)), key);
        }
        let part = Fields::parse_part("files.3", r#"{"path":[]}"#).unwrap();
        assert_eq!(param(part.required_string("path")), "files.3.path");
        assert_eq!(param(part.required_string("size")), "files.3.size");
    }

    #[test]
    fn null_is_absence() {
        let body = fields(r#"{"a":null}"#);
        assert_eq!(body.string("a").unwrap(), None);
        assert_eq!(param(body.required_string("a")), "a");
    }
}
