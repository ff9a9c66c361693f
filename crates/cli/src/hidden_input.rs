//! A value that is not shown: typed without echo, or read from a pipe.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use vm0_model::limits::STORED_VALUE_MAX_BYTES;

use crate::error::Failure;
use crate::output::Output;
use crate::stop_signal::StopSignal;

/// More than the server takes, so that it can say what is wrong.
const READ_MAX_BYTES: u64 = STORED_VALUE_MAX_BYTES as u64 + 2;

/// Asks for a value on the terminal, or reads it from stdin if that is none, without one trailing
/// newline. `None` if the user breaks off.
pub(crate) async fn hidden_input(
    output: &Output,
    question: &str,
    option: &str,
) -> Result<Option<SecretString>, Failure> {
    if !io::stdin().is_terminal() {
        return read_all().map(Some);
    }
    if !output.can_ask() {
        let message = format!("There is nobody to ask; use {option}, or pipe the value in");
        return Err(Failure::usage(message));
    }
    let mut signal = StopSignal::listen()?;
    let silent = Silent::begin()?;
    write!(io::stderr(), "{question}: ")?;
    io::stderr().flush()?;
    let typed = tokio::task::spawn_blocking(read_line);
    let value = tokio::select! {
        value = typed => Some(value.map_err(|error| Failure::of("read_value", &error))??),
        () = signal.received() => None,
    };
    drop(silent);
    output.error_line("");
    Ok(value)
}

fn read_all() -> Result<SecretString, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = io::stdin()
        .lock()
        .take(READ_MAX_BYTES)
        .read_to_end(&mut bytes);
    read.map_err(|error| Failure::usage(format!("Cannot read the value from stdin: {error}")))?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Failure::usage("The value on stdin is not UTF-8 text")),
    }
}

fn read_line() -> io::Result<SecretString> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().read_line(&mut line)?;
    Ok(line.strip_suffix('\n').unwrap_or(&line).into())
}

/// The terminal without echo, until this is dropped.
struct Silent {
    before: Termios,
}

impl Silent {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
