//! The Responses API, as far as Codex uses it.

use serde_json::{Value, json};

use super::messages::sse;
use super::script::{Reply, command_in, reply};

/// The event stream that answers a request.
pub(super) fn answer(request: &Value) -> String {
    let input = request["input"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut prompts = Vec::new();
    let mut tool_done = false;
    for item in input {
        if let Some(prompt) = prompt_of(item) {
            prompts.push(prompt);
            tool_done = false;
        }
        tool_done |= item["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with("_call_output"));
    }
    stream(request, &reply(&prompts, tool_done))
}

fn prompt_of(item: &Value) -> Option<String> {
    if item["role"] != "user" {
        return None;
    }
    let blocks = item["content"].as_array()?;
    let texts = blocks.iter().filter_map(|block| block["text"].as_str());
    texts
        .filter(|text| command_in(text).is_some())
        .map(str::to_owned)
        .next_back()
}

fn stream(request: &Value, reply: &Reply) -> String {
    let item = match reply {
        Reply::Text(text) => json!({
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }),
        Reply::Run(command) => shell_call(request, command),
    };
    let usage = json!({
        "input_tokens": 100, "input_tokens_details": { "cached_tokens": 20 },
        "output_tokens": 40, "output_tokens_details": { "reasoning_tokens": 5 },
        "total_tokens": 140,
    });
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1" } }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "usage": usage } }),
    ];
    events.iter().map(sse).collect()
}

/// A call of whichever shell tool this Codex offers.
fn shell_call(request: &Value, command: &str) -> Value {
    let tools = request["tools"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let offers = |name: &str| tools.iter().any(|tool| tool["name"] == name);
    let (name, arguments) = if offers("exec_command") {
        ("exec_command", json!({ "cmd": command }))
    } else if offers("shell_command") {
        ("shell_command", json!({ "command": command }))
    } else {
        ("shell", json!({ "command": ["bash", "-lc", command] }))
    };
    json!({
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed",
        "name": name, "arguments": arguments.to_string(),
    })
}
