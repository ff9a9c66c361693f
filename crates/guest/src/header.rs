//! What a stream begins with, and what is said on a process's control stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The guest's first frame, before any stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL_VERSION`] of the guest.
    pub protocol_version: u8,
    /// Version of the guest agent, for the log.
    pub agent_version: String,
    /// Whether programs that know no proxy are served.
    pub transparent: Transparent,
}

/// Whether programs that know no proxy have an interface and a resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transparent {
    /// They have.
    On,
    /// They were not to have.
    #[default]
    Off,
    /// They were to have, and this is why they have not.
    Failed(String),
}

/// First frame of a stream that the host opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostHeader {
    /// Start a program; the stream then carries [`Request`]s in and [`Notice`]s out.
    Exec(ExecHeader),
    /// The stream carries one input or output of the program started by `Exec` of this number.
    Attach {
        /// Number of the process.
        process: u64,
        /// Which of its descriptors.
        channel: Channel,
    },
    /// Kill every process of the guest's user; answered with [`Notice::Killed`].
    KillAll,
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecHeader {
    /// Number given by the host, not used before.
    pub process: u64,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory.
    pub cwd: String,
    /// What it reads.
    pub stdin: Input,
    /// Its terminal, if it has one: standard output and error are then one stream.
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub cols: u16,
}

/// What a program reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// `/dev/null`.
    Null,
    /// An attached stream.
    Pipe,
    /// A file of the guest.
    File(String),
}

/// A descriptor of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Host to program.
    Stdin,
    /// Program to host.
    Stdout,
    /// Program to host.
    Stderr,
}

/// Host to guest, on a control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Send a signal to the program's process group, on a terminal to that in its foreground.
    Signal(i32),
    /// Give the program's terminal another size.
    Resize(TerminalSize),
}

/// Guest to host, on a control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The program runs.
    Started,
    /// The program has ended: exit code, 128 + N after signal N, 127 or 126 if it never ran.
    Exited(i32),
    /// No process of the guest's user is left.
    Killed,
}

/// First frame of a stream that the guest opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestHeader {
    /// A connection made to the proxy; raw bytes follow.
    Forward,
}
