//! What the model says next.

/// The next thing the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Call the shell tool with this command.
    Run(String),
    /// Say this and end the turn.
    Text(String),
}

/// The next reply in a conversation with these prompts, whose last one is answered by a tool
/// result already or not.
pub(super) fn reply(prompts: &[String], tool_done: bool) -> Reply {
    let command = prompts.last().and_then(|prompt| command_in(prompt));
    match command {
        Some(command) if !tool_done => Reply::Run(command),
        _ => Reply::Text(format!("turn {} done", prompts.len())),
    }
}

/// The command that a prompt asks for.
pub(super) fn command_in(prompt: &str) -> Option<String> {
    let (_, rest) = prompt.split_once("RUN[")?;
    let (command, _) = rest.split_once("]RUN")?;
    Some(command.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_with_a_command_is_answered_by_a_call_and_then_by_text() {
        let prompts = ["please RUN[echo hi > a]RUN now".to_owned()];
        assert_eq!(reply(&prompts, false), Reply::Run("echo hi > a".to_owned()));
        assert_eq!(reply(&prompts, true), Reply::Text("turn 1 done".to_owned()));
    }
}
