//! Events of Claude Code, of the built-in `shell` and of custom agents.

use serde_json::Value;

use super::said::{Init, Outcome, Said, as_text, text_at};

/// What an event says; `None` if it is not of this form.
pub(super) fn read(kind: &str, data: &Value) -> Option<Vec<Said>> {
    match kind {
        "system" if data["subtype"] == "init" => Some(vec![init(data)]),
        "assistant" => Some(blocks(data).iter().filter_map(assistant_block).collect()),
        "user" => Some(blocks(data).iter().filter_map(tool_result).collect()),
        "output" => Some(vec![Said::Output {
            stderr: data["stream"] == "stderr",
            text: text_at(data, "text")?,
        }]),
        "result" if data.get("status").is_none() => Some(vec![outcome(data)]),
        _ => None,
    }
}

fn init(data: &Value) -> Said {
    let model = text_at(data, "model");
    let framework = if model.as_deref() == Some("shell") {
        "shell"
    } else {
        "claude-code"
    };
    Said::Init(Init {
        framework,
        session: text_at(data, "session_id"),
        model,
        tools: data["tools"].as_array().map(Vec::len),
    })
}

fn blocks(data: &Value) -> &[Value] {
    data["message"]["content"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

fn assistant_block(block: &Value) -> Option<Said> {
    match block["type"].as_str()? {
        "text" => Some(Said::Text {
            text: text_at(block, "text")?,
            piece: false,
        }),
        "thinking" => Some(Said::Thinking(text_at(block, "thinking")?)),
        "tool_use" => Some(Said::ToolUse {
            name: text_at(block, "name")?,
            input: block["input"].clone(),
        }),
        _ => None,
    }
}

fn tool_result(block: &Value) -> Option<Said> {
    if block["type"] != "tool_result" {
        return None;
    }
    let text = match &block["content"] {
        Value::Array(parts) => {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(|part| text_at(part, "text"))
                .collect();
            texts.join("\n")
        }
        other => as_text(other),
    };
    Some(Said::ToolResult {
        error: block["is_error"] == true,
        text,
    })
}

fn outcome(data: &Value) -> Said {
    let usage = &data["usage"];
    let read = [
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ];
    let input: Vec<u64> = read.iter().filter_map(|key| usage[*key].as_u64()).collect();
    Said::Result(Outcome {
        error: data["is_error"] == true,
        millis: data["duration_ms"].as_i64(),
        cost_usd: data["total_cost_usd"].as_f64(),
        turns: data["num_turns"].as_u64(),
        input_tokens: (!input.is_empty()).then(|| input.iter().sum()),
        output_tokens: usage["output_tokens"].as_u64(),
    })
}
