//! The number of an event inside its own JSON text.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const FIELD: &str = "sequenceNumber";

/// The JSON object `data` with the field `sequenceNumber` set to `seq`, at its end. A field of
/// that name in it is replaced; everything else keeps its text. `None` if it is not an object.
///
/// Text that cannot hold the field, not even spelled with escapes, is not parsed.
pub(crate) fn with_sequence_number(data: &str, seq: u64) -> Option<String> {
    let data = data.trim();
    let fields = data.strip_prefix('{')?.strip_suffix('}')?.trim();
    if !data.contains(FIELD) && !data.contains("\\u") {
        let comma = if fields.is_empty() { "" } else { "," };
        return Some(format!(r#"{{{fields}{comma}"{FIELD}":{seq}}}"#));
    }
    let object: Object<'_> = serde_json::from_str(data).ok()?;
    let mut text = String::with_capacity(data.len() + FIELD.len() + 24);
    text.push('{');
    for (name, value) in object.0.iter().filter(|(name, _)| name != FIELD) {
        text.push_str(&serde_json::to_string(name).ok()?);
        text.push(':');
        text.push_str(value.get());
        text.push(',');
    }
    text.push_str(&format!(r#""{FIELD}":{seq}}}"#));
    Some(text)
}

/// The fields of an object in order, their values as they are written.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_added_at_the_end() {
        let cases = [
            ("{}", r#"{"sequenceNumber":7}"#),
            (r#"{"type":"a"}"#, r#"{"type":"a","sequenceNumber":7}"#),
            (
                "{\"n\":1e400,\"m\":12345678901234567890123}",
                "{\"n\":1e400,\"m\":12345678901234567890123,\"sequenceNumber\":7}",
            ),
        ];
        for (data, expected) in cases {
            assert_eq!(with_sequence_number(data, 7).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_number_that_the_agent_sent_is_replaced() {
        let cases = [
            (r#"{"sequenceNumber":1}"#, r#"{"sequenceNumber":7}"#),
            (
                r#"{"sequenceNumber":{"a":[1]},"b":"}"}"#,
                r#"{"b":"}","sequenceNumber":7}"#,
            ),
            (
                r#"{"\u0073equenceNumber":1,"b":2}"#,
                r#"{"b":2,"sequenceNumber":7}"#,
            ),
            (
                r#"{"b":1.50,"a":{"sequenceNumber":3}}"#,
                r#"{"b":1.50,"a":{"sequenceNumber":3},"sequenceNumber":7}"#,
            ),
            (
                r#"{"text":"sequenceNumber \u00e9"}"#,
                r#"{"text":"sequenceNumber \u00e9","sequenceNumber":7}"#,
            ),
        ];
        for (data, expected) in cases {
            assert_eq!(
                with_sequence_number(data, 7).as_deref(),
                Some(expected),
                "{data}"
            );
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for data in [
            "",
            "1",
            "[]",
            "\"sequenceNumber\"",
            "{\"sequenceNumber\":}",
            "{",
        ] {
            assert_eq!(with_sequence_number(data, 7), None, "{data}");
        }
    }
}
