//! The row of data that a framework is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

/// The rows, in the order in which messages list them.
const ROWS: [&str; 6] = [
    include_str!("../frameworks/claude-code.toml"),
    include_str!("../frameworks/codex.toml"),
    include_str!("../frameworks/gemini-cli.toml"),
    include_str!("../frameworks/opencode.toml"),
    include_str!("../frameworks/shell.toml"),
    include_str!("../frameworks/custom.toml"),
];

/// Longest session id of a framework, in bytes.
const SESSION_ID_MAX_BYTES: usize = 128;

/// All frameworks.
pub fn all() -> &'static [FrameworkSpec] {
    static ALL: OnceLock<Vec<FrameworkSpec>> = OnceLock::new();
    ALL.get_or_init(|| {
        ROWS.iter()
            .map(|row| toml::from_str(row).expect("the rows are tested"))
            .collect()
    })
}

/// The framework of this name.
pub fn find(name: &str) -> Option<&'static FrameworkSpec> {
    all().iter().find(|spec| spec.name == name)
}

/// Whether a session id from an event may be used in paths and arguments. Others are ignored: an
/// agent must not be able to name a file or an option by it.
pub fn is_session_id(text: &str) -> bool {
    (1..=SESSION_ID_MAX_BYTES).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// One framework.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameworkSpec {
    /// As configurations name it.
    pub name: String,
    /// Whether the command comes from the configuration.
    #[serde(default)]
    pub command_from_config: bool,
    /// Whether a session without an id gets one from the runner.
    #[serde(default)]
    pub session_id_made_by_runner: bool,
    /// Whether output lines that are no JSON objects become `output` events.
    #[serde(default)]
    pub plain_lines_are_events: bool,
    /// How the program gets the prompt.
    pub prompt: PromptBy,
    /// The command line, in pieces.
    #[serde(default)]
    pub command: Vec<CommandGroup>,
    /// Variables set unless the agent sets them.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Variables set, unless the agent sets them, to the value of another one if that is set.
    #[serde(default)]
    pub environment_copies: BTreeMap<String, String>,
    /// Files to write below HOME.
    #[serde(default)]
    pub files: Vec<SettingsFile>,
    /// Where the model is.
    #[serde(default)]
    pub model: ModelHosts,
    /// Where things are below HOME.
    pub places: Places,
    /// Commands that save and restore the conversation, if it is not just files.
    #[serde(default)]
    pub history_commands: Option<HistoryCommands>,
    /// Which event has the session id.
    pub session: Vec<SessionRule>,
    /// What the events say about the outcome.
    pub result: ResultRules,
}

impl FrameworkSpec {
    /// Whether the command comes from the configuration.
    pub fn is_custom(&self) -> bool {
        self.command_from_config
    }
}

/// How a program gets the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptBy {
    /// As an argument while it is short, else on stdin.
    Argument,
    /// On stdin always.
    Stdin,
    /// By itself, from the prompt file.
    File,
}

/// Arguments that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandGroup {
    /// In them `{prompt}`, `{prompt_file}`, `{session_id}`, `{working_dir}` and `{env}` are
    /// replaced.
    pub args: Vec<String>,
    /// Only when a conversation is resumed.
    #[serde(default)]
    pub resuming: bool,
    /// Only if this variable is set; `{env}` is its value.
    #[serde(default)]
    pub env: Option<String>,
    /// Only if the prompt is passed in this way.
    #[serde(default)]
    pub prompt: Option<PromptBy>,
}

/// A file that is written before the agent starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// Below HOME.
    pub path: String,
    /// Only if this variable is set.
    #[serde(default)]
    pub env: Option<String>,
    /// The text.
    pub content: String,
}

/// Where the model of a framework is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelHosts {
    /// Host names that are allowed without a rule.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Variables whose value is a base URL; its host is allowed, too.
    #[serde(default)]
    pub base_urls: Vec<String>,
    /// Whether the hosts of brokered secrets are model hosts, too: the framework can talk to any
    /// model.
    #[serde(default)]
    pub brokered: bool,
}

/// Where a framework keeps things, below HOME.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The file that tells the agent what it is.
    pub instructions: String,
    /// The directory of skills.
    pub skills: String,
    /// Glob patterns of the files that are a conversation; `{session_id}`, `{session_id_8}` (its
    /// first 8 characters), `{cwd_dashed}` (the working directory with every character but letters
    /// and digits as `-`) and `{cwd_last}` (its last component) are replaced.
    #[serde(default)]
    pub history: Vec<String>,
}

/// Commands that save and restore a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryCommands {
    /// Its output is the conversation `{session_id}`.
    pub export: Vec<String>,
    /// Restores it from `{file}`.
    pub import: Vec<String>,
}

/// An event matches if it has these values at these JSON pointers.
pub type EventMatch = BTreeMap<String, Value>;

/// Which event has the session id.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRule {
    /// The event.
    #[serde(default)]
    pub when: EventMatch,
    /// JSON pointer of the id.
    pub id: String,
}

/// What events say about the outcome.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRules {
    /// The final text is that of the first rule that found one.
    pub text: Vec<TextRule>,
    /// The tokens.
    #[serde(default)]
    pub tokens: Option<TokenRule>,
    /// The cost.
    #[serde(default)]
    pub cost: Option<CostRule>,
    /// The answers of the model, if events tell them apart.
    #[serde(default)]
    pub turns: Option<TurnRule>,
    /// The failure.
    pub failure: Option<FailureRule>,
}

/// How a text is made of several events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextTake {
    /// That of the last one.
    Last,
    /// All, joined.
    Joined,
    /// All, each a line.
    Lines,
}

/// Where the final text is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRule {
    /// The events that have a part of it.
    pub when: EventMatch,
    /// JSON pointer of the part.
    pub value: String,
    /// How parts make the whole.
    pub take: TextTake,
    /// An event that forgets the parts so far.
    #[serde(default)]
    pub reset: Option<EventMatch>,
}

/// How a number is made of several events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberTake {
    /// That of the last one.
    Last,
    /// The sum of all.
    Sum,
}

/// Where tokens are counted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRule {
    /// The events that count.
    pub when: EventMatch,
    /// JSON pointers whose sum is the input.
    pub input: Vec<String>,
    /// JSON pointers whose sum is the output.
    pub output: Vec<String>,
    /// How events make the whole.
    pub take: NumberTake,
    /// Whether the numbers are of the whole thread, earlier runs included.
    #[serde(default)]
    pub whole_thread: bool,
}

/// Where the cost is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostRule {
    /// The events that have a cost.
    pub when: EventMatch,
    /// JSON pointer of the cost in US dollars.
    pub value: String,
    /// How events make the whole.
    pub take: NumberTake,
}

/// Which events are an answer of the model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnRule {
    /// The events.
    pub when: EventMatch,
    /// JSON pointer of the answer's id, if an answer may be several events.
    #[serde(default)]
    pub id: Option<String>,
}

/// What a failure is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureRule {
    /// The event that says so.
    pub when: EventMatch,
    /// JSON pointers of its text; the first that is there counts.
    #[serde(default)]
    pub text: Vec<String>,
    /// A later event that matches this, and not `when`, takes the failure back.
    #[serde(default)]
    pub cleared_by: Option<EventMatch>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        let names: Vec<_> = all().iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "claude-code",
                "codex",
                "gemini-cli",
                "opencode",
                "shell",
                "custom"
            ]
        );
        assert!(find("claude").is_none());
    }

    #[test]
    fn every_framework_but_custom_has_a_command() {
        for spec in all() {
            assert_eq!(spec.command.is_empty(), spec.is_custom(), "{}", spec.name);
        }
    }

    #[test]
    fn session_ids_cannot_be_paths_globs_or_options() {
        for good in ["0199c1a2-aa11-7000-8000-000000000001", "ses_5xAb", "a"] {
            assert!(is_session_id(good), "{good}");
        }
        for bad in [
            "",
            "-r",
            "..",
            "a/b",
            "*",
            "a b",
            "a\n",
            ".x",
            &"a".repeat(129),
        ] {
            assert!(!is_session_id(bad), "{bad:?}");
        }
    }
}
