//! Lines of the agent, as events (agents 2.4).

use serde_json::{Map, Value};
use vm0_model::event::NewEvent;
use vm0_model::limits;

use crate::clock;

/// The store adds `sequenceNumber` to each event.
const SEQUENCE_BYTES: usize = 64;

/// The JSON object that `line` is, if it is one.
pub(crate) fn parse(line: &[u8]) -> Option<Map<String, Value>> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(line).ok()
}

/// The event with this masked content, its longest strings cut if it is over
/// [`limits::EVENT_MAX_BYTES`]. `None` if it is too large even without its strings.
pub(crate) fn event(mut fields: Map<String, Value>) -> Option<NewEvent> {
    // The number is the store's to give.
    fields.shift_remove("sequenceNumber");
    let kind = match fields.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        _ => "message".to_owned(),
    };
    let data = fit(Value::Object(fields))?;
    Some(NewEvent {
        timestamp: clock::now(),
        kind,
        data,
    })
}

/// The JSON text of `value`, cut until it fits.
fn fit(value: Value) -> Option<String> {
    const MAX_BYTES: usize = limits::EVENT_MAX_BYTES - SEQUENCE_BYTES;
    let data = value.to_string();
    if data.len() <= MAX_BYTES {
        return Some(data);
    }
    let mut longest = MAX_BYTES / 2;
    loop {
        let mut shorter = value.clone();
        cut_strings(&mut shorter, longest);
        let data = shorter.to_string();
        if data.len() <= MAX_BYTES {
            return Some(data);
        }
        if longest == 0 {
            return None;
        }
        longest /= 2;
    }
}

/// Cuts every string value to at most `longest` bytes and a mark.
fn cut_strings(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) if text.len() > longest => {
            let kept = text.floor_char_boundary(longest);
            let mark = format!("…[{} bytes left out]", text.len() - kept);
            if kept + mark.len() < text.len() {
                text.truncate(kept);
                text.push_str(&mark);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut_strings(item, longest)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| cut_strings(field, longest)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_json_objects_are_events() {
        assert!(parse(b" {\"a\": 1}").is_some());
        for line in [
            &b"[1]"[..],
            b"1",
            b"\"x\"",
            b"{",
            b"",
            b"text",
            b"{\"a\":\"\\ud800\"}",
            b"\xff",
        ] {
            assert!(parse(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn an_event_keeps_its_content_and_has_a_type() {
        let event = event(object(json!({"b": 1, "type": "result", "a": [null]}))).unwrap();
        assert_eq!(
            (event.kind.as_str(), event.data.as_str()),
            ("result", r#"{"b":1,"type":"result","a":[null]}"#)
        );
        for untyped in [json!({}), json!({"type": 1, "sequenceNumber": 9})] {
            let event = super::event(object(untyped)).unwrap();
            assert_eq!(event.kind, "message");
            assert!(!event.data.contains("sequenceNumber"));
        }
    }

    #[test]
    fn the_longest_strings_of_a_large_event_are_cut() {
        let long = "ä".repeat(2 << 20);
        let event = event(object(
            json!({"type": "t", "short": "whole", "long": [long]}),
        ))
        .unwrap();
        assert!(event.data.len() <= limits::EVENT_MAX_BYTES - SEQUENCE_BYTES);
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["short"], "whole");
        let cut = data["long"][0].as_str().unwrap();
        let kept = cut.find('…').unwrap();
        assert_eq!(
            &cut[kept..],
            format!("…[{} bytes left out]", (4 << 20) - kept)
        );
    }

    #[test]
    fn what_cannot_be_cut_is_no_event() {
        assert!(event(object(json!({"n": vec![123_456; 1 << 18]}))).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn an_event_never_exceeds_its_limit(
            count in 1usize..2000, size in 0usize..4000, character in prop::sample::select(vec!["a", "\"", "ä", "\u{1}"]),
        ) {
            let texts = vec![character.repeat(size); count];
            if let Some(event) = event(object(json!({"texts": texts}))) {
                prop_assert!(event.data.len() <= limits::EVENT_MAX_BYTES - SEQUENCE_BYTES);
                prop_assert!(parse(event.data.as_bytes()).is_some());
            }
        }
    }
}
