//! The messages of a command in the sandbox of a running run (CLI 4.6 and 9): a WebSocket from the
//! client to the server, and one like it from the runner that holds the run's lease.
//!
//! | From → to | Message |
//! |---|---|
//! | client → | first, text: [`ExecStart`]; then binary: a piece of the input; text: [`ExecControl`] |
//! | → client | binary: an [`ExecStream`] and a piece of that output; last, text: [`ExecEnd`] |
//!
//! A connection that ends without an [`ExecEnd`] is closed with an [`ExecFault`] and a reason for
//! people. The server reads every message before it passes it on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::PATH_MAX_BYTES;

/// The WebSocket subprotocol; another form of the messages gets another name.
pub const SUBPROTOCOL: &str = "vm0.exec.v1";

/// What a client wants to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecStart {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Absolute working directory, if it is not that of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables beside those of the agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Its terminal, if it is to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<TtySize>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtySize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub cols: u16,
}

/// What a client asks of a command that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecControl {
    /// Its terminal has another size.
    Resize(TtySize),
    /// There is no more input.
    Stdin(StdinControl),
    /// It gets a signal.
    Signal(ExecSignal),
}

/// What happens to the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdinControl {
    /// It ends.
    Close,
}

/// A signal that a client may send, by its name without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecSignal {
    /// The terminal is gone.
    Hup,
    /// Ctrl-C.
    Int,
    /// Ctrl-\.
    Quit,
    /// At once.
    Kill,
    /// For the program to define.
    Usr1,
    /// For the program to define.
    Usr2,
    /// The polite end.
    Term,
    /// Go on.
    Cont,
    /// Pause.
    Stop,
    /// Ctrl-Z.
    Tstp,
}

impl ExecSignal {
    /// Its number on Linux, on the architectures that there are sandboxes for.
    pub const fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::Usr1 => 10,
            Self::Usr2 => 12,
            Self::Term => 15,
            Self::Cont => 18,
            Self::Stop => 19,
            Self::Tstp => 20,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecEnd {
    /// Its exit code, 128 + N after signal N, 127 if it was not found, 126 if not executable.
    pub exit_code: i32,
}

/// An output, by the first byte of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecStream {
    /// Standard output; with a terminal, all that it shows.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

impl ExecStream {
    /// The message of a piece of this output.
    pub fn message(self, piece: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(1 + piece.len());
        message.push(self as u8);
        message.extend_from_slice(piece);
        message
    }

    /// Which output a message is of.
    pub fn of(message: &[u8]) -> Option<Self> {
        match message.first() {
            Some(1) => Some(Self::Stdout),
            Some(2) => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// Why a connection ends without the command's end, as the code that closes the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecFault {
    /// The server is stopping.
    Stopping,
    /// A message is not one of those above.
    BadMessage,
    /// A message is over its limit.
    TooLarge,
    /// The server or the runner failed.
    Internal,
    /// The run has ended.
    RunEnded,
    /// The runner is gone, or has not connected in time.
    RunnerLost,
    /// The command could not be started.
    NotStarted,
}

impl ExecFault {
    const ALL: [Self; 7] = [
        Self::Stopping,
        Self::BadMessage,
        Self::TooLarge,
        Self::Internal,
        Self::RunEnded,
        Self::RunnerLost,
        Self::NotStarted,
    ];

    /// The code on the wire: those of RFC 6455, and private ones.
    pub const fn code(self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::BadMessage => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::RunEnded => 4001,
            Self::RunnerLost => 4002,
            Self::NotStarted => 4003,
        }
    }

    /// The fault with this code.
    pub fn of(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.code() == code)
    }
}

/// A message is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecMessageError {
    /// It is not JSON of its form.
    #[error("not a message of {SUBPROTOCOL}: {0}")]
    Form(String),
    /// There is no program in it.
    #[error("command names no program")]
    NoProgram,
    /// A string cannot be given to a program.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
    /// The working directory is not a path from the root.
    #[error("cwd is not an absolute path of at most {PATH_MAX_BYTES} bytes")]
    Cwd,
    /// The name of a variable is not one.
    #[error("env has a name that is empty or contains =")]
    Name,
    /// A terminal has no room.
    #[error("a terminal has at least one row and one column")]
    Size,
}

impl ExecStart {
    /// Reads the first message of a client.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ExecMessageError> {
        let start: Self = form(text)?;
        if start.command.first().is_none_or(String::is_empty) {
            return Err(ExecMessageError::NoProgram);
        }
        let has_nul = |text: &String| text.contains('\0');
        if start.command.iter().any(has_nul) {
            return Err(ExecMessageError::Nul("command"));
        }
        if start
            .env
            .iter()
            .any(|(name, value)| has_nul(name) || has_nul(value))
        {
            return Err(ExecMessageError::Nul("env"));
        }
        if start
            .env
            .keys()
            .any(|name| name.is_empty() || name.contains('='))
        {
            return Err(ExecMessageError::Name);
        }
        if let Some(cwd) = &start.cwd
            && (!cwd.starts_with('/') || cwd.len() > PATH_MAX_BYTES || has_nul(cwd))
        {
            return Err(ExecMessageError::Cwd);
        }
        start.tty.map_or(Ok(()), TtySize::check)?;
        Ok(start)
    }
}

impl ExecControl {
    /// Reads a later text message of a client.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ExecMessageError> {
        let control = form(text)?;
        if let Self::Resize(size) = control {
            size.check()?;
        }
        Ok(control)
    }
}

impl ExecEnd {
    /// Reads the last text message of a runner or a server.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ExecMessageError> {
        form(text)
    }
}

impl TtySize {
    fn check(self) -> Result<(), ExecMessageError> {
        let has_room = self.rows > 0 && self.cols > 0;
        has_room.then_some(()).ok_or(ExecMessageError::Size)
    }
}

fn form<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ExecMessageError> {
    serde_json::from_str(text).map_err(|error| ExecMessageError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_messages_are_those_of_the_specification() {
        let text =
            r#"{"command":["ls","-l"],"cwd":"/tmp","env":{"A":"b"},"tty":{"rows":24,"cols":80}}"#;
        let start = ExecStart::parse(text).unwrap();
        assert_eq!(serde_json::to_string(&start).unwrap(), text);
        let least = ExecStart::parse(r#"{"command":["ls"]}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&least).unwrap(),
            r#"{"command":["ls"]}"#
        );
        for text in [
            r#"{"resize":{"rows":24,"cols":80}}"#,
            r#"{"stdin":"close"}"#,
            r#"{"signal":"INT"}"#,
        ] {
            let control = ExecControl::parse(text).unwrap();
            assert_eq!(serde_json::to_string(&control).unwrap(), text);
        }
        let end = serde_json::to_string(&ExecEnd { exit_code: 130 }).unwrap();
        assert_eq!(end, r#"{"exit_code":130}"#);
        assert_eq!(ExecStream::Stderr.message(b"x"), [2, b'x']);
    }

    #[test]
    fn what_cannot_be_started_is_refused_with_its_reason() {
        for (text, reason) in [
            ("ls", "not a message of vm0.exec.v1"),
            ("{}", "not a message of vm0.exec.v1"),
            (r#"{"command":[]}"#, "names no program"),
            (r#"{"command":[""]}"#, "names no program"),
            (r#"{"command":["a\u0000b"]}"#, "command contains a NUL"),
            (
                r#"{"command":["a"],"env":{"A":"\u0000"}}"#,
                "env contains a NUL",
            ),
            (r#"{"command":["a"],"env":{"A=B":""}}"#, "env has a name"),
            (
                r#"{"command":["a"],"cwd":"tmp"}"#,
                "cwd is not an absolute path",
            ),
            (
                r#"{"command":["a"],"tty":{"rows":0,"cols":80}}"#,
                "at least one row",
            ),
            (
                r#"{"command":["a"],"tty":{"rows":70000,"cols":80}}"#,
                "not a message",
            ),
            (r#"{"command":["a"],"user":"root"}"#, "unknown field `user`"),
        ] {
            let error = ExecStart::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        for text in [
            r#"{"resize":{"rows":1,"cols":0}}"#,
            r#"{"signal":"SEGV"}"#,
            r#"{"signal":9}"#,
            r#"{"stdin":"open"}"#,
            r#"{"stdin":"close","signal":"INT"}"#,
            "[]",
        ] {
            assert!(ExecControl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_is_known_by_its_code() {
        for fault in ExecFault::ALL {
            assert_eq!(ExecFault::of(fault.code()), Some(fault));
        }
        assert_eq!(ExecFault::of(1000), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = ExecStart::parse(&text);
            let _ = ExecControl::parse(&text);
            let _ = ExecEnd::parse(&text);
        }
    }
}
