//! Frameworks: the programs that agents are, each a row of data (agents 2).
//!
//! A row says how the program is started, where it keeps things, and how its events are read. A
//! new framework is a new file in `frameworks/`; the code here knows none of them by name.

mod command;
mod outcome;
mod places;
mod spec;

pub use command::{
    CommandContext, CommandError, CommandLine, Stdin, agent_command_line, command_line,
    custom_command_line,
};
pub use outcome::{AgentResult, Progress, ResultReader};
pub use places::{history_patterns, relocate_history};
pub use spec::{
    CommandGroup, EventMatch, FrameworkSpec, HistoryCommands, ModelHosts, Places, PromptBy,
    ResultRules, SessionRule, SettingsFile, all, find, is_session_id,
};
