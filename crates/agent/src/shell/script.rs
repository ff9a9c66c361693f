//! The script's process: its lines as they come, and its end.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::leftovers;
use super::output::Output;

/// A longer prompt does not fit in an argument.
const MAX_ARGUMENT: usize = 100_000;
/// A longer line is told in pieces.
const MAX_LINE: usize = 1024 * 1024;
const QUEUE: usize = 64;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Stdout,
    Stderr,
}

/// A script that runs.
pub(super) struct Script {
    child: Child,
    lines: Receiver<(Source, Vec<u8>)>,
}

/// A script that has ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) output: Output,
    pub(super) errors: Output,
}

impl Script {
    /// Starts the prompt as a script.
    pub(super) fn start(prompt: &str, earlier_prompts: &str) -> io::Result<Self> {
        leftovers::adopt()?;
        let shell = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"]
            .into_iter()
            .find(|shell| Path::new(shell).exists())
            .unwrap_or("/bin/sh");
        let mut command = Command::new(shell);
        if prompt.len() < MAX_ARGUMENT {
            command.args(["-c", prompt]);
        } else {
            command.arg(std::env::var_os("VM0_PROMPT_FILE").unwrap_or_default());
        }
        let mut child = command
            .env("VM0_SHELL_HISTORY", earlier_prompts)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = sync_channel(QUEUE);
        let stdout = child.stdout.take().expect("asked for a pipe");
        let stderr = child.stderr.take().expect("asked for a pipe");
        let errors = sender.clone();
        std::thread::spawn(move || read_lines(stdout, Source::Stdout, &sender));
        std::thread::spawn(move || read_lines(stderr, Source::Stderr, &errors));
        Ok(Self { child, lines })
    }

    /// Tells every line until the script and what it left behind have ended.
    pub(super) fn follow(
        mut self,
        mut tell: impl FnMut(Source, &str) -> io::Result<()>,
    ) -> io::Result<Ended> {
        let waiting = std::thread::spawn(move || {
            let status = self.child.wait();
            leftovers::kill_all();
            status
        });
        let mut output = Output::default();
        let mut errors = Output::default();
        for (source, line) in self.lines {
            output.push(&line);
            if source == Source::Stderr {
                errors.push(&line);
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            tell(source, &String::from_utf8_lossy(text))?;
        }
        let status = waiting
            .join()
            .map_err(|_| io::Error::other("the wait failed"))??;
        Ok(Ended {
            code: exit_code(status),
            output,
            errors,
        })
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}

fn read_lines(from: impl Read, source: Source, to: &SyncSender<(Source, Vec<u8>)>) {
    let mut reader = BufReader::with_capacity(64 * 1024, from);
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line);
        if !matches!(read, Ok(length) if length > 0) || to.send((source, line)).is_err() {
            return;
        }
    }
}
