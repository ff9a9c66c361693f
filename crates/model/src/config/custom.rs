//! `command`, `resume_command` and `history`, which only the framework `custom` has.

use crate::config::agent::CustomCommand;
use crate::config::field::{Field, Fields};
use crate::config::problem::Problems;
use crate::config::skill::is_inside;

pub(super) const HISTORY_MAX: usize = 16;

/// Reads the commands of an agent.
pub(super) fn read_custom(
    fields: &Fields<'_>,
    is_custom: bool,
    problems: &mut Problems,
) -> Option<CustomCommand> {
    if !is_custom {
        for key in ["command", "resume_command", "history"] {
            if let Some(field) = fields.get(key) {
                problems.add(
                    field,
                    format_args!("{key} is only allowed with framework custom"),
                );
            }
        }
        return None;
    }
    let command = fields.require(problems, "command").cloned();
    let command = command.and_then(|field| read_command(&field, problems));
    let resume_command = match fields.get("resume_command") {
        Some(field) => read_command(field, problems),
        None => command.clone(),
    };
    let history = fields
        .get("history")
        .map(|field| read_history(field, problems));
    let history = history.unwrap_or_default();
    Some(CustomCommand {
        command: command?,
        resume_command: resume_command?,
        history,
    })
}

fn read_command(field: &Field<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let items = field.strings(problems, 1..=usize::MAX)?;
    for (item, text) in &items {
        if text.contains('\0') {
            problems.add(item, "must not contain NUL");
        }
    }
    let has_prompt = items
        .iter()
        .any(|(_, text)| text.contains("{prompt}") || text.contains("{prompt_file}"));
    if !items.is_empty() && !has_prompt {
        problems.add(field, "must contain {prompt} or {prompt_file}");
    }
    Some(items.into_iter().map(|(_, text)| text.to_owned()).collect())
}

fn read_history(field: &Field<'_>, problems: &mut Problems) -> Vec<String> {
    let items = field.strings(problems, 0..=HISTORY_MAX).unwrap_or_default();
    for (item, text) in &items {
        if !is_inside(text) {
            problems.add(item, "must be a path relative to HOME without '..'");
        }
    }
    items.into_iter().map(|(_, text)| text.to_owned()).collect()
}
