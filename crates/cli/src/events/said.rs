//! What an agent says, whatever its framework.

use serde_json::Value;

/// One thing that an agent said or did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// The conversation starts.
    Init(Init),
    /// Text of the assistant; a piece is continued by the next one.
    Text {
        /// The text.
        text: String,
        /// Whether more of the same message follows.
        piece: bool,
    },
    /// Reasoning.
    Thinking(String),
    /// A tool is called.
    ToolUse {
        /// Its name.
        name: String,
        /// Its input.
        input: Value,
    },
    /// A tool has answered.
    ToolResult {
        /// Whether it failed.
        error: bool,
        /// What it answered.
        text: String,
    },
    /// A line of output.
    Output {
        /// Whether it was written to stderr.
        stderr: bool,
        /// The line.
        text: String,
    },
    /// The end.
    Result(Outcome),
}

/// How a conversation starts, as far as known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Init {
    /// The framework.
    pub(super) framework: &'static str,
    /// The framework's session.
    pub(super) session: Option<String>,
    /// The model.
    pub(super) model: Option<String>,
    /// Number of tools.
    pub(super) tools: Option<usize>,
}

/// How a conversation ends, as far as known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    /// Whether it failed.
    pub(super) error: bool,
    /// How long it took.
    pub(super) millis: Option<i64>,
    /// What it cost.
    pub(super) cost_usd: Option<f64>,
    /// Turns of the conversation.
    pub(super) turns: Option<u64>,
    /// Tokens read.
    pub(super) input_tokens: Option<u64>,
    /// Tokens written.
    pub(super) output_tokens: Option<u64>,
}

/// The text at a key.
pub(super) fn text_at(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A value as text: a string as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
