//! The Messages API, as far as Claude Code uses it.

use serde_json::{Value, json};

use super::script::{Reply, command_in, reply};

/// The event stream that answers a request.
pub(super) fn answer(request: &Value) -> String {
    let messages = request["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut prompts = Vec::new();
    let mut tool_done = false;
    for block in messages
        .iter()
        .filter(|message| message["role"] == "user")
        .flat_map(blocks)
    {
        match block["text"].as_str() {
            Some(text) if command_in(text).is_some() => {
                prompts.push(text.to_owned());
                tool_done = false;
            }
            _ => tool_done |= block["type"] == "tool_result",
        }
    }
    // A title is asked for without tools.
    let without_tools = request["tools"].as_array().is_none_or(Vec::is_empty);
    stream(request, &reply(&prompts, tool_done || without_tools))
}

/// The blocks of a message, whose content may be a bare text.
fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    }
}

fn stream(request: &Value, reply: &Reply) -> String {
    // Claude Code takes a call with the id of an earlier one for that earlier one.
    let number = request["messages"].as_array().map_or(0, Vec::len);
    let (start, delta, stop_reason) = match reply {
        Reply::Text(text) => (
            json!({ "type": "text", "text": "" }),
            json!({ "type": "text_delta", "text": text }),
            "end_turn",
        ),
        Reply::Run(command) => {
            let input = json!({ "command": command, "description": "Runs the command" });
            (
                json!({ "type": "tool_use", "id": format!("toolu_{number}"), "name": shell_tool(request), "input": {} }),
                json!({ "type": "input_json_delta", "partial_json": input.to_string() }),
                "tool_use",
            )
        }
    };
    let message = json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "content": [],
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

/// The name of the tool that runs commands: agents differ in its case.
fn shell_tool(request: &Value) -> &str {
    let tools = request["tools"].as_array().into_iter().flatten();
    let mut names = tools.filter_map(|tool| tool["name"].as_str());
    names
        .find(|name| name.eq_ignore_ascii_case("bash"))
        .unwrap_or("Bash")
}

/// One event in the framing of both APIs.
pub(super) fn sse(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or_default();
    format!("event: {kind}\ndata: {event}\n\n")
}
