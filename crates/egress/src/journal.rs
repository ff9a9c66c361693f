//! The network log: one line for each connection, and for each request that the gateway reads.
//!
//! Room for the line is taken before anything is opened, so nothing happens unlogged, and a log
//! that nobody reads stops the sandbox instead of losing lines.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::mpsc;
use vm0_model::Timestamp;
use vm0_model::event::{LogEntry, LogKind, LogLevel};
use vm0_model::limits;

use crate::host::Target;
use crate::policy::Rule;
use crate::usage::UsageCounter;

/// The status in the log of a request whose client left before the answer.
const CLIENT_LEFT: u16 = 499;

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Journal(mpsc::Sender<LogEntry>);

/// Room for one line.
#[derive(Debug)]
pub(crate) struct Slot(mpsc::OwnedPermit<LogEntry>);

/// What the gateway knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// TLS passed through.
    Sni,
    /// Any other bytes.
    Tcp,
    /// The name did not resolve, or to a denied address.
    Dns,
}

/// A request on its way; its line is written when it is dropped, which is when the last byte of
/// the answer has passed.
#[derive(Debug)]
pub(crate) struct Exchange {
    slot: Option<Slot>,
    started: Instant,
    method: String,
    url: String,
    rule: Rule,
    denied: bool,
    status: u16,
    pub(crate) request_bytes: Arc<AtomicU64>,
    pub(crate) response_bytes: Arc<AtomicU64>,
    /// Where its answer is counted, if it is for a model.
    pub(crate) usage: Option<UsageCounter>,
}

impl Journal {
    pub(crate) fn new(entries: mpsc::Sender<LogEntry>) -> Self {
        Self(entries)
    }

    /// Waits for room; none if nobody will ever read the log.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        self.0.clone().reserve_owned().await.ok().map(Slot)
    }
}

impl Slot {
    /// Writes the line of a connection.
    pub(crate) fn connection(self, mode: Mode, allowed: bool, target: &Target, rule: Rule) {
        let action = if allowed { "ALLOW" } else { "DENY" };
        let level = if allowed {
            LogLevel::Info
        } else {
            LogLevel::Warn
        };
        let metadata = json!({
            "mode": mode.to_string(),
            "action": action,
            "host": target.host.to_string(),
            "port": target.port,
            "rule": rule.to_string(),
        });
        self.write(level, format!("{mode} {action} {target} {rule}"), &metadata);
    }

    fn write(self, level: LogLevel, message: String, metadata: &serde_json::Value) {
        self.0.send(LogEntry {
            timestamp: now(),
            kind: LogKind::Network,
            level,
            message: cut(message),
            metadata: Some(metadata.to_string()),
        });
    }
}

impl Exchange {
    /// A request for `url`, as the sandbox sent it, that `rule` has decided about.
    pub(crate) fn new(slot: Slot, method: &str, url: &str, rule: Rule) -> Self {
        Self {
            slot: Some(slot),
            started: Instant::now(),
            method: method.to_owned(),
            url: cut(url.to_owned()),
            rule,
            denied: false,
            status: CLIENT_LEFT,
            request_bytes: Arc::default(),
            response_bytes: Arc::default(),
            usage: None,
        }
    }

    /// The gateway refuses it.
    pub(crate) fn deny(&mut self) {
        self.denied = true;
    }

    /// The rule that decided, once it is known.
    pub(crate) fn decided_by(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// It was answered.
    pub(crate) fn answered(&mut self, status: http::StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let Self {
            method,
            url,
            status,
            ..
        } = &*self;
        let duration = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let level = match status {
            _ if self.denied => LogLevel::Warn,
            400.. => LogLevel::Error,
            _ => LogLevel::Info,
        };
        let metadata = json!({
            "method": method,
            "url": url,
            "status": status,
            "duration": duration,
            "requestSize": self.request_bytes.load(Ordering::Relaxed),
            "responseSize": self.response_bytes.load(Ordering::Relaxed),
            "rule": self.rule.to_string(),
            "secrets": [],
        });
        slot.write(
            level,
            format!("{method} {url} - {status} ({duration}ms)"),
            &metadata,
        );
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sni => "SNI",
            Self::Tcp => "TCP",
            Self::Dns => "DNS",
        })
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(limits::LOG_LINE_MAX_BYTES));
    text
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
