//! Events of Gemini CLI.

use serde_json::Value;

use super::said::{Init, Outcome, Said, as_text, text_at};

/// What an event says; `None` if it is not of this form.
pub(super) fn read(kind: &str, data: &Value) -> Option<Vec<Said>> {
    match kind {
        "init" => Some(vec![Said::Init(Init {
            framework: "gemini-cli",
            session: text_at(data, "session_id"),
            model: text_at(data, "model"),
            tools: None,
        })]),
        "message" if data["role"] == "assistant" => Some(vec![Said::Text {
            text: text_at(data, "content")?,
            piece: data["delta"] == true,
        }]),
        "message" if data["role"] == "user" => Some(Vec::new()),
        "tool_use" => Some(vec![Said::ToolUse {
            name: text_at(data, "tool_name")?,
            input: data["parameters"].clone(),
        }]),
        "tool_result" => Some(vec![Said::ToolResult {
            error: data["status"] == "error",
            text: as_text(&data["output"]),
        }]),
        "result" => {
            let stats = &data["stats"];
            Some(vec![Said::Result(Outcome {
                error: data["status"] == "error",
                millis: stats["duration_ms"].as_i64(),
                input_tokens: stats["input_tokens"].as_u64(),
                output_tokens: stats["output_tokens"].as_u64(),
                ..Outcome::default()
            })])
        }
        _ => None,
    }
}
