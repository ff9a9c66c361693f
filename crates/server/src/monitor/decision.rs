//! What the gateways of runs decided, by what they write into the network log (agents 4.8).

use serde::Deserialize;
use vm0_model::event::{LogEntry, LogKind, LogLevel};

/// One decision: of a connection, or of a request that the gateway read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NetworkDecision {
    pub(crate) mode: &'static str,
    pub(crate) action: &'static str,
}

/// Modes of a decision.
pub(crate) const MODES: [&str; 4] = ["http", "sni", "tcp", "dns"];
/// What may be decided.
pub(crate) const ACTIONS: [&str; 2] = ["allow", "deny"];

/// The metadata of a line, as far as they matter here.
#[derive(Deserialize)]
struct Line {
    mode: Option<Mode>,
    action: Option<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Sni,
    Tcp,
    Dns,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    Allow,
    Deny,
    Close,
}

impl NetworkDecision {
    /// The decision that `entry` tells of; none if it is about something else, such as the end of a
    /// connection.
    pub(crate) fn of(entry: &LogEntry) -> Option<Self> {
        if entry.kind != LogKind::Network {
            return None;
        }
        let line: Line = serde_json::from_str(entry.metadata.as_ref()?).ok()?;
        if line.action == Some(Action::Close) {
            return None;
        }
        let mode = match line.mode {
            None => "http",
            Some(Mode::Sni) => "sni",
            Some(Mode::Tcp) => "tcp",
            Some(Mode::Dns) => "dns",
        };
        let denied = entry.level == LogLevel::Warn;
        let action = if denied { "deny" } else { "allow" };
        Some(Self { mode, action })
    }
}
