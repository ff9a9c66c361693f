//! The network log: one line for each connection, and for each request that the gateway reads.
//!
//! Room for the line is taken before anything is opened, so nothing happens unlogged, and a log
//! that nobody reads stops the sandbox instead of losing lines.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::mpsc;
use vm0_model::Timestamp;
use vm0_model::event::{LogEntry, LogKind, LogLevel};
use vm0_model::limits;

use crate::broker::{Injected, Stray};
use crate::flight::{Airborne, Flights};
use crate::host::Target;
use crate::policy::{Policy, RequestView, Rule};
use crate::usage::UsageCounter;

/// The status in the log of a request whose client left before the answer.
const CLIENT_LEFT: u16 = 499;

/// Why a connection was cut in the middle.
pub(crate) const POLICY_CHANGED: &str = "the network policy was changed";

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
    flight: Option<Airborne>,
    flights: Flights,
    status: u16,
    secrets: Vec<String>,
    /// A placeholder that the request was refused for, perhaps only while its body passed.
    pub(crate) stray: Arc<OnceLock<Stray>>,
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
    /// Writes the line of a connection that was allowed.
    pub(crate) fn allowed(self, mode: Mode, target: &Target, rule: Rule) {
        self.connection(mode, true, target, rule, None);
    }

    /// Writes the line of a connection that was denied or cut, with the reason if it is not the
    /// rule itself.
    pub(crate) fn denied(self, mode: Mode, target: &Target, rule: Rule, reason: Option<&str>) {
        self.connection(mode, false, target, rule, reason);
    }

    fn connection(
        self,
        mode: Mode,
        allowed: bool,
        target: &Target,
        rule: Rule,
        reason: Option<&str>,
    ) {
        let action = if allowed { "ALLOW" } else { "DENY" };
        let level = if allowed {
            LogLevel::Info
        } else {
            LogLevel::Warn
        };
        let mut metadata = json!({
            "mode": mode.to_string(),
            "action": action,
            "host": target.host.to_string(),
            "port": target.port,
            "rule": rule.to_string(),
        });
        if let Some(reason) = reason {
            metadata["reason"] = reason.into();
        }
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
            flight: None,
            flights: Flights::default(),
            status: CLIENT_LEFT,
            secrets: Vec::new(),
            stray: Arc::default(),
            request_bytes: Arc::default(),
            response_bytes: Arc::default(),
            usage: None,
        }
    }

    /// The gateway refuses it.
    pub(crate) fn deny(&mut self) {
        self.denied = true;
    }

    /// These secrets were put in.
    pub(crate) fn injected(&mut self, injected: &Injected) {
        self.secrets.clone_from(&injected.names);
    }

    /// The rule that decided, once it is known.
    pub(crate) fn decided_by(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// It goes to `addresses`, until it ends or the policy forbids it.
    pub(crate) fn take_off(
        &mut self,
        flights: &Flights,
        target: &Target,
        addresses: &[IpAddr],
        request: RequestView,
    ) {
        self.flights = flights.clone();
        self.flight = Some(flights.take_off(target, addresses, request));
    }

    /// Whether `policy` allows it and all that is under way with it.
    pub(crate) fn is_allowed_by(&self, policy: &Policy) -> bool {
        self.flights.allowed_by(policy)
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
        let stray = self.stray.get();
        let cut = self.flight.as_ref().is_some_and(Airborne::is_cut);
        let level = match status {
            _ if self.denied || cut || stray.is_some() => LogLevel::Warn,
            400.. => LogLevel::Error,
            _ => LogLevel::Info,
        };
        let mut metadata = json!({
            "method": method,
            "url": url,
            "status": status,
            "duration": duration,
            "requestSize": self.request_bytes.load(Ordering::Relaxed),
            "responseSize": self.response_bytes.load(Ordering::Relaxed),
            "rule": self.rule.to_string(),
            "secrets": self.secrets,
        });
        let mut message = format!("{method} {url} - {status} ({duration}ms)");
        if cut {
            metadata["reason"] = POLICY_CHANGED.into();
        }
        if let Some(stray) = stray {
            message = format!("{message} {stray}");
            metadata["reason"] = stray.to_string().into();
        }
        slot.write(level, message, &metadata);
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
