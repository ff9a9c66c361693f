//! Events of opencode.

use serde_json::Value;

use super::said::{Outcome, Said, as_text, text_at};

/// What an event says; `None` if it is not of this form.
pub(super) fn read(kind: &str, data: &Value) -> Option<Vec<Said>> {
    let part = data.get("part");
    match (kind, part) {
        ("step_start", Some(_)) => Some(Vec::new()),
        ("text", Some(part)) => Some(vec![Said::Text {
            text: text_at(part, "text")?,
            piece: false,
        }]),
        ("reasoning", Some(part)) => Some(vec![Said::Thinking(text_at(part, "text")?)]),
        ("tool_use", Some(part)) => Some(tool(part)),
        ("step_finish", Some(part)) if part["reason"] == "stop" => {
            Some(vec![Said::Result(Outcome {
                cost_usd: part["cost"].as_f64(),
                input_tokens: part["tokens"]["input"].as_u64(),
                output_tokens: part["tokens"]["output"].as_u64(),
                ..Outcome::default()
            })])
        }
        ("step_finish", Some(_)) => Some(Vec::new()),
        ("error", _) => {
            let error = data.get("error")?;
            let text = text_at(&error["data"], "message").or_else(|| text_at(error, "name"))?;
            let outcome = Outcome {
                error: true,
                ..Outcome::default()
            };
            Some(vec![
                Said::Text { text, piece: false },
                Said::Result(outcome),
            ])
        }
        _ => None,
    }
}

fn tool(part: &Value) -> Vec<Said> {
    let state = &part["state"];
    let mut said = vec![Said::ToolUse {
        name: as_text(&part["tool"]),
        input: state["input"].clone(),
    }];
    match state["status"].as_str() {
        Some("completed") => {
            said.push(Said::ToolResult {
                error: false,
                text: as_text(&state["output"]),
            });
        }
        Some("error") => {
            said.push(Said::ToolResult {
                error: true,
                text: as_text(&state["error"]),
            });
        }
        _ => {}
    }
    said
}
