use std::fmt::Write as _;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use vm0_model::limits;
use vm0_model::price::Tokens;

use super::counter::UsageCounter;
use super::reader::{RequestUsage, UsageReader};

const JSON: &str = "application/json; charset=utf-8";
const EVENTS: &str = "text/event-stream";

fn headers(kind: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
}

fn read_in_pieces<'b>(
    kind: &'static str,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Option<RequestUsage> {
    let mut reader = UsageReader::for_answer(&headers(kind)).unwrap();
    for piece in pieces {
        reader.feed(piece);
    }
    reader.usage()
}

fn read(kind: &'static str, text: &str) -> Option<RequestUsage> {
    read_in_pieces(kind, [text.as_bytes()])
}

fn events(events: &[Value]) -> String {
    let mut text = String::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or("message");
        write!(text, "event: {kind}\ndata: {event}\n\n").unwrap();
    }
    text
}

fn usage(model: &str, tokens: Tokens) -> Option<RequestUsage> {
    let model = (!model.is_empty()).then(|| model.to_owned());
    Some(RequestUsage { model, tokens })
}

/// A stream of the Messages API.
fn messages_stream() -> String {
    let first = json!({ "input_tokens": 100, "output_tokens": 1,
        "cache_creation_input_tokens": 30, "cache_read_input_tokens": 20,
        "cache_creation": { "ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10 } });
    events(&[
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude-opus-5", "content": [], "usage": first } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta",
            "text": "\"usage\": {\"output_tokens\": 999999}" } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 15 } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 40 } }),
        json!({ "type": "message_stop" }),
    ])
}

fn messages_usage(output: u64) -> Option<RequestUsage> {
    let tokens = Tokens {
        input: 100,
        cache_read: 20,
        cache_write: 20,
        cache_write_1h: 10,
        output,
    };
    usage("claude-opus-5", tokens)
}

fn responses_answer() -> Value {
    json!({ "id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5",
        "output": [{ "type": "message", "content": [{ "type": "output_text", "text": "hi",
            "usage": { "input_tokens": 7 } }] }],
        "usage": { "input_tokens": 100, "input_tokens_details": { "cached_tokens": 60 },
            "output_tokens": 40, "output_tokens_details": { "reasoning_tokens": 25 },
            "total_tokens": 140 } })
}

fn chunk(fields: &Value) -> Value {
    let mut chunk = json!({ "id": "c", "object": "chat.completion.chunk", "model": "gpt-4.1",
        "choices": [{ "index": 0, "delta": { "content": "x" } }] });
    for (key, value) in fields.as_object().unwrap() {
        chunk[key] = value.clone();
    }
    chunk
}

fn gemini(prompt: u64, candidates: u64) -> Value {
    json!({
        "candidates": [{ "content": { "parts": [{ "text": "hello" }], "role": "model" } }],
        "usageMetadata": { "promptTokenCount": prompt, "candidatesTokenCount": candidates,
            "cachedContentTokenCount": 40, "thoughtsTokenCount": 5,
            "toolUsePromptTokenCount": 3, "totalTokenCount": 9999 },
        "modelVersion": "gemini-2.5-pro",
    })
}

fn read_and_written(input: u64, cache_read: u64, output: u64) -> Tokens {
    Tokens {
        input,
        cache_read,
        output,
        ..Tokens::default()
    }
}

/// Every form of every API, and what it says.
fn all_forms() -> Vec<(&'static str, String, Option<RequestUsage>)> {
    let message = json!({ "id": "msg_1", "type": "message", "model": "claude-haiku-4-5",
        "content": [{ "type": "text", "text": "\\\"}" }],
        "usage": { "input_tokens": 3, "output_tokens": 4 } });
    let responses = usage("gpt-5", read_and_written(40, 60, 40));
    let stream = |kind: &str| {
        events(&[
            json!({ "type": "response.created",
                "response": { "id": "resp_1", "model": "gpt-5", "usage": null } }),
            json!({ "type": "response.output_text.delta", "delta": "hi" }),
            json!({ "type": kind, "response": responses_answer() }),
        ])
    };
    let chat_usage = json!({ "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100,
        "prompt_tokens_details": { "cached_tokens": 30 } });
    let chat = usage("gpt-4.1", read_and_written(60, 30, 10));
    let whole_chat = json!({ "object": "chat.completion", "model": "gpt-4.1",
        "choices": [{ "message": { "content": "x" } }], "usage": chat_usage });
    let chat_stream = events(&[
        chunk(&json!({ "usage": null })),
        chunk(&json!({ "choices": [], "usage": chat_usage })),
    ]) + "data: [DONE]\n\n";
    let google = usage("gemini-2.5-pro", read_and_written(63, 40, 25));
    let google_stream = events(&[gemini(100, 4), gemini(100, 20)]);
    let list = format!("[{},\r\n{}\n]", gemini(100, 4), gemini(100, 20));
    let wrapped = json!({ "response": gemini(100, 20), "traceId": "t" });
    vec![
        (EVENTS, messages_stream(), messages_usage(40)),
        (
            JSON,
            message.to_string(),
            usage("claude-haiku-4-5", read_and_written(3, 0, 4)),
        ),
        (JSON, responses_answer().to_string(), responses.clone()),
        (EVENTS, stream("response.completed"), responses.clone()),
        (EVENTS, stream("response.incomplete"), responses),
        (JSON, whole_chat.to_string(), chat.clone()),
        (EVENTS, chat_stream, chat),
        (JSON, gemini(100, 20).to_string(), google.clone()),
        (EVENTS, google_stream, google.clone()),
        (JSON, list, google.clone()),
        (JSON, wrapped.to_string(), google),
    ]
}

#[test]
fn every_form_of_every_api_is_read() {
    for (kind, text, expected) in all_forms() {
        assert_eq!(read(kind, &text), expected, "{text}");
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(read(kind, &crlf), expected, "{crlf}");
        let returns = text.replace('\n', "\r");
        assert_eq!(read(kind, &returns), expected, "{returns}");
        if kind == JSON {
            let marked = format!("\u{feff}{text}");
            assert_eq!(read(kind, &marked), expected, "{marked}");
        }
    }
}

#[test]
fn an_event_may_have_several_lines_of_data_and_other_fields() {
    let text = ": hello\ndata:{\"usage\":\ndata: {\"input_tokens\": 4,\nid: 7\n\
                data\ndata:   \"output_tokens\": 5}\ndata: }\n\n";
    assert_eq!(read(EVENTS, text), usage("", read_and_written(4, 0, 5)));
    let other =
        "data1: {\"usage\":{\"input_tokens\":4}}\n\nxdata: {\"usage\":{\"input_tokens\":4}}\n\n";
    assert_eq!(read(EVENTS, other), None);
}

#[test]
fn an_answer_that_breaks_off_counts_what_it_had_said() {
    let text = messages_stream();
    let upto = |mark: &str| &text[..text.find(mark).unwrap()];
    assert_eq!(read(EVENTS, upto("event: message_start")), None);
    assert_eq!(read(EVENTS, upto("event: ping")), messages_usage(1));
    assert_eq!(
        read(EVENTS, upto("event: message_stop")),
        messages_usage(40)
    );
}

#[test]
fn what_is_no_answer_of_a_model_counts_nothing() {
    for (kind, text) in [
        (JSON, r#"{"input_tokens": 100}"#),
        (JSON, r#"{"totalTokens": 100}"#),
        (
            JSON,
            r#"{"data": [{"model": "m", "usage": {"input_tokens": 1}}], "model": "m"}"#,
        ),
        (
            JSON,
            r#"{"type": "error", "error": {"usage": {"input_tokens": 5}}}"#,
        ),
        (
            JSON,
            r#"{"usage": {"input_tokens": "5", "output_tokens": -5, "prompt_tokens": 1.5}}"#,
        ),
        (
            JSON,
            r#"{"usage": {"input_tokens": 1e3, "output_tokens": null}}"#,
        ),
        (JSON, r#"{"usage": {"input_tokens": 18446744073709551616}}"#),
        (JSON, r#"{"a": {"usage": {"input_tokens": 5}}}"#),
        (JSON, r#"{"usage": {"input_tokens": 5"#),
        (JSON, r#"{"us\u0061ge": {"input_tokens": 5}}"#),
        (JSON, ""),
        (EVENTS, "usage: {\"input_tokens\": 5}\n\n"),
    ] {
        assert_eq!(read(kind, text), None, "{text}");
    }
    let large = format!(
        "{{\"usage\": {{\"input_tokens\": {} }} }}",
        limits::MODEL_TOKENS_MAX + 1
    );
    assert_eq!(read(JSON, &large), None);
}

#[test]
fn a_chat_stream_that_says_no_usage_is_still_a_request() {
    let text = events(&[chunk(&json!({})), chunk(&json!({}))]);
    assert_eq!(read(EVENTS, &text), usage("gpt-4.1", Tokens::default()));
}

#[test]
fn only_plain_json_and_events_are_read() {
    let reads = |headers: &HeaderMap| UsageReader::for_answer(headers).is_some();
    assert!(reads(&headers("application/vnd.api+JSON")));
    assert!(reads(&headers("Text/Event-Stream;charset=utf-8")));
    for other in ["text/html", "application/octet-stream", "json", ""] {
        assert!(!reads(&headers(other)), "{other}");
    }
    assert!(!reads(&HeaderMap::new()));
    let mut encoded = headers(JSON);
    encoded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert!(!reads(&encoded));
    encoded.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
    assert!(reads(&encoded));
}

#[test]
fn requests_are_added_up_while_they_are_answered() {
    let counter = UsageCounter::default();
    let totals = counter.subscribe();
    let text = messages_stream();
    let (start, rest) = text.split_at(text.find("event: ping").unwrap());
    let mut first = counter.answer(&headers(EVENTS)).unwrap();
    first.feed(start.as_bytes());
    assert_eq!(totals.borrow().requests, 1);
    assert_eq!(totals.borrow().input_tokens, 150);
    assert_eq!(totals.borrow().output_tokens, 1);
    let mut second = counter.answer(&headers(EVENTS)).unwrap();
    second.feed(text.as_bytes());
    drop(second);
    first.feed(rest.as_bytes());
    drop(first);
    let totals = totals.borrow();
    assert_eq!((totals.requests, totals.tokens()), (2, 380));
    // Per request 100 at $5, 20 at $0.50, 20 at $6.25, 10 at $10 and 40 at $25 a million.
    assert_eq!(
        totals.cost_nanos,
        2 * (500_000 + 10_000 + 125_000 + 100_000 + 1_000_000)
    );
    assert_eq!(totals.cost_usd(), Some(0.003_47));
}

#[test]
fn a_request_without_a_price_leaves_the_cost_unknown() {
    let counter = UsageCounter::default();
    let totals = counter.subscribe();
    for model in ["gpt-5", "mystery-1", "mystery-2"] {
        let mut answer = responses_answer();
        answer["model"] = json!(model);
        let mut passing = counter.answer(&headers(JSON)).unwrap();
        passing.feed(answer.to_string().as_bytes());
    }
    let totals = totals.borrow();
    assert_eq!((totals.requests, totals.unpriced_requests), (3, 2));
    assert_eq!(totals.unpriced_model.as_deref(), Some("mystery-1"));
    assert_eq!(totals.cost_usd(), None);
    assert!(totals.priced_usd() > 0.0);
}

fn pieces(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<&[u8]> {
    cuts.iter_mut().for_each(|cut| *cut %= bytes.len() + 1);
    cuts.push(0);
    cuts.push(bytes.len());
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

/// JSON of any form, with the keys that mean something in any place.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "usage",
        "message",
        "response",
        "usageMetadata",
        "input_tokens",
        "output_tokens",
        "prompt_tokens",
        "input_tokens_details",
        "cached_tokens",
        "x",
        "a\"b",
        "type",
    ]);
    let leaf = prop_oneof![
        (0u64..2000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(Value::from_iter),
        ]
    })
}

/// The largest `usage.output_tokens` where the reader looks for it.
fn output_of(value: &Value) -> Option<u64> {
    let list = std::slice::from_ref(value);
    let documents = value.as_array().map_or(list, Vec::as_slice);
    let counts = documents.iter().flat_map(|document| {
        ["", "/message", "/response"].map(|place| {
            document
                .pointer(&format!("{place}/usage/output_tokens"))
                .and_then(Value::as_u64)
        })
    });
    let documents_only = |document: &Value| document.is_object();
    documents
        .iter()
        .any(documents_only)
        .then(|| counts.flatten().max())?
}

proptest! {
    #[test]
    fn where_an_answer_is_cut_makes_no_difference(
        form in 0..all_forms().len(), cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let (kind, text, expected) = all_forms().swap_remove(form);
        prop_assert_eq!(read_in_pieces(kind, pieces(text.as_bytes(), cuts)), expected);
    }

    #[test]
    fn the_numbers_are_those_that_a_parser_finds(value in any_json(), spaced in any::<bool>()) {
        let text = if spaced {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let found = read(JSON, &text).map_or(0, |usage| usage.tokens.output);
        prop_assert_eq!(found, output_of(&value).unwrap_or(0), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_the_same_in_one_piece_and_in_many(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "([\\[\\]{}:,\"\\\\ \n\r0-9]|\"usage\"|\"input_tokens\"|data:|message)*".prop_map(String::into_bytes),
        ],
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        for kind in [JSON, EVENTS] {
            let whole = read_in_pieces(kind, [&bytes[..]]);
            prop_assert_eq!(read_in_pieces(kind, pieces(&bytes, cuts.clone())), whole);
        }
    }

    #[test]
    fn totals_never_shrink(pieces in prop::collection::vec(0..3usize, 0..60)) {
        let counter = UsageCounter::default();
        let totals = counter.subscribe();
        let text = messages_stream();
        let mut sent = [0; 3];
        let mut answers = [(); 3].map(|()| counter.answer(&headers(EVENTS)).unwrap());
        let mut before = totals.borrow().clone();
        for which in pieces {
            let end = (sent[which] + 97).min(text.len());
            answers[which].feed(&text.as_bytes()[sent[which]..end]);
            sent[which] = end;
            let now = totals.borrow().clone();
            prop_assert!(now.requests >= before.requests && now.tokens() >= before.tokens());
            prop_assert!(now.cost_nanos >= before.cost_nanos);
            before = now;
        }
    }
}

/// A text of many megabytes without an end costs no memory.
#[test]
fn nothing_is_kept_of_a_long_text() {
    let mut reader = UsageReader::for_answer(&headers(JSON)).unwrap();
    reader.feed(b"{\"usage\": {\"input_tokens\": 7}, \"model\": \"");
    for _ in 0..200 {
        reader.feed(&[b'x'; 16 << 10]);
    }
    reader.feed(b"\", \"deep\": ");
    for _ in 0..200 {
        reader.feed(&[b'['; 16 << 10]);
    }
    assert!(reader.memory_bytes() < 1024, "{}", reader.memory_bytes());
    assert_eq!(reader.usage(), usage("", read_and_written(7, 0, 0)));
}
