//! Gemini's API, as far as Gemini CLI uses it.

use serde_json::{Value, json};

use super::script::{Reply, command_in, reply};

/// The event stream that answers a request.
pub(super) fn answer(request: &Value) -> String {
    format!("data: {}\n\n", whole(request))
}

/// The same answer as one document.
pub(super) fn whole(request: &Value) -> Value {
    let contents = request["contents"].as_array().map(Vec::as_slice);
    let mut prompts = Vec::new();
    let mut tool_done = false;
    for part in contents
        .unwrap_or_default()
        .iter()
        .filter(|content| content["role"] == "user")
        .filter_map(|content| content["parts"].as_array())
        .flatten()
    {
        match part["text"].as_str() {
            Some(text) if command_in(text).is_some() => {
                prompts.push(text.to_owned());
                tool_done = false;
            }
            _ => tool_done |= part["functionResponse"].is_object(),
        }
    }
    // A router, a title or a summary is asked for without tools.
    let without_tools = request["tools"].as_array().is_none_or(Vec::is_empty);
    let part = match reply(&prompts, tool_done || without_tools) {
        Reply::Run(command) => json!({ "functionCall": {
            "name": "run_shell_command",
            "args": { "command": command, "description": "Runs the command" },
        } }),
        Reply::Text(text) => json!({ "text": text }),
    };
    json!({
        "candidates": [{
            "index": 0,
            "content": { "role": "model", "parts": [part] },
            "finishReason": "STOP",
        }],
        "usageMetadata": {
            "promptTokenCount": 100, "candidatesTokenCount": 40, "totalTokenCount": 140,
        },
        "modelVersion": "scripted",
    })
}
