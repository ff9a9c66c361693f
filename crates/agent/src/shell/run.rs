//! One run of the built-in agent, from its prompt to its exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::event::{self, Events};
use super::history::History;
use super::script::{Ended, Script};

const FAIL_PREFIX: &str = "@fail:";

/// Runs the prompt of this process's environment.
pub(crate) fn run() -> io::Result<ExitCode> {
    let prompt = prompt()?;
    if let Some(message) = prompt.strip_prefix(FAIL_PREFIX) {
        eprintln!("{}", message.trim());
        return Ok(ExitCode::FAILURE);
    }
    let started = Instant::now();
    let resumed = std::env::var("VM0_RESUME_SESSION_ID")
        .ok()
        .filter(|id| !id.is_empty());
    let session = match &resumed {
        Some(id) => id.clone(),
        None => event::random_uuid()?,
    };
    let history = History::open(&session)?;
    let mut events = Events::new(io::stdout().lock(), &session);
    let tool_use = events.opening(&prompt)?;
    let script = Script::start(&prompt, &history.earlier_prompts()?)?;
    let ended = script.follow(|source, line| events.output(source, line))?;
    let text = ended.output.text();
    history.append(&prompt, &text, ended.code)?;
    events.closing(&tool_use, &text, ended.code, started.elapsed())?;
    finish(&ended)
}

fn finish(ended: &Ended) -> io::Result<ExitCode> {
    if ended.code != 0 {
        io::stderr()
            .lock()
            .write_all(ended.errors.text().as_bytes())?;
    }
    Ok(ExitCode::from(u8::try_from(ended.code).unwrap_or(1)))
}

fn prompt() -> io::Result<String> {
    if let Ok(path) = std::env::var("VM0_PROMPT_FILE")
        && !path.is_empty()
    {
        return std::fs::read_to_string(path);
    }
    std::env::var("VM0_PROMPT")
        .map_err(|_| io::Error::other("no prompt: VM0_PROMPT_FILE is not set"))
}
