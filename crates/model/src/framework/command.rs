//! The command line that starts an agent (agents 2.1).

use std::collections::BTreeMap;

use crate::config::{AgentConfig, CustomCommand};
use crate::framework::spec::{FrameworkSpec, PromptBy};
use crate::limits::PROMPT_ARG_MAX_BYTES;

/// What a command line depends on.
#[derive(Debug, Clone, Copy)]
pub struct CommandContext<'a> {
    /// What the agent is asked.
    pub prompt: &'a str,
    /// Path, inside the sandbox, of a file that holds the prompt.
    pub prompt_file: &'a str,
    /// The conversation to resume.
    pub session_id: Option<&'a str>,
    /// Where the agent runs.
    pub working_dir: &'a str,
    /// The agent's environment.
    pub env: &'a BTreeMap<String, String>,
}

/// What the agent reads on stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// The prompt file.
    PromptFile,
}

/// How an agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Stdin,
}

/// Why an agent cannot be started with this prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The prompt does not fit into an argument and the command has no other place for it.
    #[error("the prompt is too long for an argument; use {{prompt_file}} in command")]
    PromptTooLong,
}

/// The command line of an agent.
///
/// # Errors
/// [`custom_command_line`]'s.
pub fn agent_command_line(
    agent: &AgentConfig,
    context: &CommandContext<'_>,
) -> Result<CommandLine, CommandError> {
    match &agent.custom {
        Some(custom) => custom_command_line(custom, context),
        None => Ok(command_line(agent.framework, context)),
    }
}

/// The command line of a framework that has its own.
pub fn command_line(spec: &FrameworkSpec, context: &CommandContext<'_>) -> CommandLine {
    let by = match spec.prompt {
        PromptBy::Argument if context.prompt.len() >= PROMPT_ARG_MAX_BYTES => PromptBy::Stdin,
        by => by,
    };
    let mut argv = Vec::new();
    for group in &spec.command {
        let env = group
            .env
            .as_ref()
            .map(|name| context.env.get(name).map_or("", String::as_str));
        let stands = (!group.resuming || context.session_id.is_some())
            && env.is_none_or(|value| !value.is_empty())
            && group.prompt.is_none_or(|only| only == by);
        if stands {
            let prompt = context.prompt;
            argv.extend(group.args.iter().map(|arg| fill(arg, context, prompt, env)));
        }
    }
    let stdin = if by == PromptBy::Stdin {
        Stdin::PromptFile
    } else {
        Stdin::Null
    };
    CommandLine { argv, stdin }
}

/// The command line of an agent of the framework `custom`. No shell is involved.
///
/// # Errors
/// `PromptTooLong` if the prompt does not fit into an argument and `{prompt_file}` is not used. If
/// it is used, `{prompt}` beside it becomes empty for such a prompt.
pub fn custom_command_line(
    custom: &CustomCommand,
    context: &CommandContext<'_>,
) -> Result<CommandLine, CommandError> {
    let resuming = context.session_id.is_some();
    let command = if resuming {
        &custom.resume_command
    } else {
        &custom.command
    };
    let too_long = context.prompt.len() >= PROMPT_ARG_MAX_BYTES;
    if too_long && !command.iter().any(|arg| arg.contains("{prompt_file}")) {
        return Err(CommandError::PromptTooLong);
    }
    let prompt = if too_long { "" } else { context.prompt };
    let argv = command
        .iter()
        .map(|arg| fill(arg, context, prompt, None))
        .collect();
    Ok(CommandLine {
        argv,
        stdin: Stdin::Null,
    })
}

/// Replaces the names in braces in one pass: what a value contains stays as it is.
fn fill(arg: &str, context: &CommandContext<'_>, prompt: &str, env: Option<&str>) -> String {
    let names = [
        ("{prompt}", Some(prompt)),
        ("{prompt_file}", Some(context.prompt_file)),
        ("{session_id}", Some(context.session_id.unwrap_or(""))),
        ("{working_dir}", Some(context.working_dir)),
        ("{env}", env),
    ];
    let mut filled = String::with_capacity(arg.len());
    let mut rest = arg;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let name = names.iter().find_map(|(name, value)| {
            value
                .filter(|_| from.starts_with(name))
                .map(|value| (name.len(), value))
        });
        let (length, value) = name.unwrap_or((1, "{"));
        filled.push_str(value);
        rest = &from[length..];
    }
    filled.push_str(rest);
    filled
}
