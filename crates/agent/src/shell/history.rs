//! The conversation: one JSON line for each run of a session.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::time::now_rfc3339;

/// `$VM0_SHELL_HISTORY` holds at most this; an argument or variable cannot be much larger.
const MAX_PROMPTS: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Turn {
    timestamp: String,
    prompt: String,
    output: String,
    exit_code: i32,
}

/// The history file of one session.
pub(super) struct History {
    path: PathBuf,
}

impl History {
    /// Names the file of a session; nothing is read or written yet.
    pub(super) fn open(session: &str) -> io::Result<Self> {
        let plain = session
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if session.is_empty() || !plain {
            return Err(io::Error::other("the session id is not a plain name"));
        }
        let home = std::env::var("HOME").map_err(|_| io::Error::other("HOME is not set"))?;
        Ok(Self {
            path: PathBuf::from(home).join(format!(".vm0/sessions/{session}.jsonl")),
        })
    }

    /// The earlier prompts, oldest first, one per line.
    pub(super) fn earlier_prompts(&self) -> io::Result<String> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(prompts(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds this run.
    pub(super) fn append(&self, prompt: &str, output: &str, exit_code: i32) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let turn = Turn {
            timestamp: now_rfc3339(),
            prompt: prompt.to_owned(),
            output: output.to_owned(),
            exit_code,
        };
        let mut line = serde_json::to_vec(&turn)?;
        line.push(b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?
            .write_all(&line)
    }
}

fn prompts(history: &str) -> String {
    let mut kept = Vec::new();
    let mut size = 0;
    for line in history.lines().rev() {
        let Ok(turn) = serde_json::from_str::<Turn>(line) else {
            continue;
        };
        let prompt = turn.prompt.replace('\\', r"\\").replace('\n', r"\n");
        size += prompt.len() + 1;
        if size > MAX_PROMPTS {
            break;
        }
        // A variable cannot hold NUL.
        kept.push(prompt.replace('\0', "\u{fffd}"));
    }
    kept.reverse();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(prompt: &str) -> String {
        let turn = Turn {
            timestamp: String::new(),
            prompt: prompt.to_owned(),
            output: String::new(),
            exit_code: 0,
        };
        serde_json::to_string(&turn).unwrap() + "\n"
    }

    #[test]
    fn prompts_are_one_per_line_with_line_ends_and_backslashes_written_out() {
        let text = line("a\nb") + &line(r"c\d");
        assert_eq!(prompts(&text), "a\\nb\nc\\\\d");
    }

    #[test]
    fn the_oldest_prompts_are_left_out_beyond_the_limit() {
        let text = line(&"x".repeat(40_000)) + &line(&"y".repeat(40_000));
        assert_eq!(prompts(&text), "y".repeat(40_000));
    }

    #[test]
    fn a_session_id_that_leaves_its_directory_is_refused() {
        assert!(History::open("../x").is_err());
        assert!(History::open("").is_err());
    }
}
