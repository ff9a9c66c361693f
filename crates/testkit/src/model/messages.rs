//! The Messages API, as far as Claude Code uses it.

use serde_json::{Value, json};

use super::script::{Reply, command_in, reply};

/// The event stream that answers a request.
pub(super) fn answer(request: &Value) -> String {
    let messages = request["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let texts: Vec<String> = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .flat_map(texts_of)
        .collect();
    let prompts: Vec<String> = texts
        .into_iter()
        .filter(|text| command_in(text).is_some())
        .collect();
    let tool_done = messages.last().is_some_and(has_tool_result);
    stream(request, &reply(&prompts, tool_done))
}

fn texts_of(message: &Value) -> Vec<String> {
    match &message["content"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block["text"].as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

fn has_tool_result(message: &Value) -> bool {
    let blocks = message["content"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    blocks.iter().any(|block| block["type"] == "tool_result")
}

fn stream(request: &Value, reply: &Reply) -> String {
    let (start, delta, stop_reason) = match reply {
        Reply::Text(text) => (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": text }),
            "end_turn",
        ),
        Reply::Run(command) => {
            let input = json!({ "command": command, "description": "Runs the command" });
            (
                json!({ "type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {} }),
                json!({ "type": "input_json_delta", "partial_json": input.to_string() }),
                "tool_use",
            )
        }
    };
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "content": [],
        "model": request["model"], "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": 100, "output_tokens": 1,
                   "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20 },
    });
    let usage = json!({ "output_tokens": 40 });
    let events = [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": start }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "usage": usage,
                "delta": { "stop_reason": stop_reason, "stop_sequence": null } }),
        json!({ "type": "message_stop" }),
    ];
    events.iter().map(sse).collect()
}

/// One event in the framing of both APIs.
pub(super) fn sse(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or_default();
    format!("event: {kind}\ndata: {event}\n\n")
}
