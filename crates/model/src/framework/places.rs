//! Where the files of a conversation are (agents 2.2).

use crate::framework::spec::FrameworkSpec;

/// Characters of a session id that short names have.
const SHORT_ID_CHARS: usize = 8;

/// Names that stand for the working directory.
const CWD_NAMES: [&str; 2] = ["{cwd_dashed}", "{cwd_last}"];

/// Glob patterns, relative to HOME, of the files of a conversation. `session_id` must satisfy
/// [`is_session_id`](crate::framework::is_session_id).
pub fn history_patterns(spec: &FrameworkSpec, session_id: &str, working_dir: &str) -> Vec<String> {
    let short = session_id.get(..SHORT_ID_CHARS).unwrap_or(session_id);
    let fill = |pattern: &String| {
        in_directory(pattern, working_dir)
            .replace("{session_id_8}", short)
            .replace("{session_id}", session_id)
    };
    spec.places.history.iter().map(fill).collect()
}

/// The path at which a file of a conversation made in `from` belongs if the agent now runs in
/// `to`; both paths are relative to HOME.
pub fn relocate_history(spec: &FrameworkSpec, path: &str, from: &str, to: &str) -> String {
    for pattern in &spec.places.history {
        let Some(end) = CWD_NAMES
            .iter()
            .find_map(|name| Some(pattern.find(name)? + name.len()))
        else {
            continue;
        };
        let directory = &pattern[..end];
        let rest = path.strip_prefix(&in_directory(directory, from));
        if let Some(rest) = rest.filter(|rest| rest.starts_with('/')) {
            return in_directory(directory, to) + rest;
        }
    }
    path.to_owned()
}

fn in_directory(pattern: &str, working_dir: &str) -> String {
    let dashed = working_dir.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let last = working_dir.rsplit('/').next().unwrap_or_default();
    pattern
        .replace("{cwd_dashed}", &dashed)
        .replace("{cwd_last}", last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::find;

    const ID: &str = "0199c1a2-aa11-7000-8000-000000000001";

    fn patterns(name: &str, working_dir: &str) -> Vec<String> {
        history_patterns(find(name).unwrap(), ID, working_dir)
    }

    #[test]
    fn history_is_where_each_framework_keeps_it() {
        assert_eq!(
            patterns("claude-code", "/home/user/my_work.d"),
            [format!(".claude/projects/-home-user-my-work-d/{ID}.jsonl")]
        );
        assert_eq!(
            patterns("codex", "/w"),
            [format!(".codex/sessions/**/*{ID}.jsonl")]
        );
        assert_eq!(
            patterns("gemini-cli", "/home/user/workspace"),
            [".gemini/tmp/workspace/chats/session-*-0199c1a2.jsonl"]
        );
        assert_eq!(
            patterns("shell", "/w"),
            [format!(".vm0/sessions/{ID}.jsonl")]
        );
        assert!(patterns("opencode", "/w").is_empty());
        assert!(patterns("custom", "/w").is_empty());
    }

    #[test]
    fn history_moves_with_the_working_directory() {
        let moved = |name, path| relocate_history(find(name).unwrap(), path, "/a/b", "/c/d.e");
        assert_eq!(
            moved("claude-code", ".claude/projects/-a-b/x.jsonl"),
            ".claude/projects/-c-d-e/x.jsonl"
        );
        assert_eq!(
            moved("claude-code", ".claude/projects/-a-bc/x.jsonl"),
            ".claude/projects/-a-bc/x.jsonl"
        );
        assert_eq!(
            moved("gemini-cli", ".gemini/tmp/b/chats/s.jsonl"),
            ".gemini/tmp/d.e/chats/s.jsonl"
        );
        assert_eq!(
            moved("codex", ".codex/sessions/2026/x.jsonl"),
            ".codex/sessions/2026/x.jsonl"
        );
    }
}
