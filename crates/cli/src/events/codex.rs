//! Events of Codex.

use serde_json::{Value, json};

use super::said::{Init, Outcome, Said, as_text, text_at};

/// What an event says; `None` if it is not of this form.
pub(super) fn read(kind: &str, data: &Value) -> Option<Vec<Said>> {
    match kind {
        "thread.started" => {
            let session = text_at(data, "thread_id");
            Some(vec![Said::Init(Init {
                framework: "codex",
                session,
                ..Init::default()
            })])
        }
        "turn.started" | "item.updated" => Some(Vec::new()),
        "item.started" => Some(tool_use(&data["item"]).into_iter().collect()),
        "item.completed" => completed(&data["item"]),
        "turn.completed" => {
            let usage = &data["usage"];
            Some(vec![Said::Result(Outcome {
                input_tokens: usage["input_tokens"].as_u64(),
                output_tokens: usage["output_tokens"].as_u64(),
                ..Outcome::default()
            })])
        }
        "turn.failed" => {
            let outcome = Outcome {
                error: true,
                ..Outcome::default()
            };
            let text = as_text(&data["error"]["message"]);
            Some(vec![
                Said::Text { text, piece: false },
                Said::Result(outcome),
            ])
        }
        _ => None,
    }
}

/// The items that are announced when they start.
fn tool_use(item: &Value) -> Option<Said> {
    let (name, input) = match item["type"].as_str()? {
        "command_execution" => ("Bash".to_owned(), json!({ "command": item["command"] })),
        "mcp_tool_call" => (as_text(&item["tool"]), item["arguments"].clone()),
        "web_search" => ("WebSearch".to_owned(), json!({ "query": item["query"] })),
        _ => return None,
    };
    Some(Said::ToolUse { name, input })
}

fn completed(item: &Value) -> Option<Vec<Said>> {
    let failed = item["status"] == "failed" || item["exit_code"].as_i64().is_some_and(|c| c != 0);
    match item["type"].as_str()? {
        "agent_message" => Some(vec![Said::Text {
            text: text_at(item, "text")?,
            piece: false,
        }]),
        "reasoning" => Some(vec![Said::Thinking(text_at(item, "text")?)]),
        "command_execution" => {
            let text = as_text(&item["aggregated_output"]);
            Some(vec![Said::ToolResult {
                error: failed,
                text,
            }])
        }
        "mcp_tool_call" => Some(vec![Said::ToolResult {
            error: failed,
            text: as_text(&item["result"]),
        }]),
        "web_search" => Some(vec![Said::ToolResult {
            error: false,
            text: String::new(),
        }]),
        "file_change" => {
            let name = "FileChange".to_owned();
            let input = json!({ "changes": item["changes"] });
            let result = Said::ToolResult {
                error: failed,
                text: String::new(),
            };
            Some(vec![Said::ToolUse { name, input }, result])
        }
        _ => None,
    }
}
