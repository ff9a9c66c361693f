//! The network log: a line for each connection, one for the end of one whose bytes pass through, and
//! one for each request that the gateway reads.
//!
//! Room for the line is taken before anything is opened, so nothing happens unlogged, and a log
//! that nobody reads stops the sandbox instead of losing lines.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::mpsc;
use vm0_model::Timestamp;
use vm0_model::event::{LogEntry, LogKind, LogLevel};
use vm0_model::limits;

use crate::broker::{Injected, Stray};
use crate::counter::{Counters, Meter};
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

/// A connection whose bytes pass through; the line of its end is written when it is dropped.
#[derive(Debug)]
pub(crate) struct Passage {
    slot: Option<Slot>,
    started: Instant,
    mode: Mode,
    target: Target,
    address: Option<IpAddr>,
    rule: Rule,
    /// Whether a change of the policy has cut it.
    cut: bool,
    pub(crate) meter: Arc<Meter>,
}

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
    /// Where it went.
    pub(crate) address: Option<IpAddr>,
    denied: bool,
    /// Why it is refused, if its status does not say it.
    reason: Option<&'static str>,
    flight: Option<Airborne>,
    flights: Flights,
    status: u16,
    secrets: Vec<String>,
    /// A placeholder that the request was refused for, perhaps only while its body passed.
    pub(crate) stray: Arc<OnceLock<Stray>>,
    pub(crate) meter: Arc<Meter>,
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
    /// Writes the line of a connection that was allowed, to `address` if it is connected.
    pub(crate) fn allowed(self, mode: Mode, target: &Target, address: Option<IpAddr>, rule: Rule) {
        let metadata = connection(mode, "ALLOW", target, address, rule);
        let message = format!("{mode} ALLOW {target} {rule}");
        self.write(LogLevel::Info, message, &metadata);
    }

    /// Writes the line of a connection that was denied, with the reason if it is not the rule
    /// itself.
    pub(crate) fn denied(self, mode: Mode, target: &Target, rule: Rule, reason: Option<&str>) {
        let mut metadata = connection(mode, "DENY", target, None, rule);
        if let Some(reason) = reason {
            metadata["reason"] = reason.into();
        }
        let message = format!("{mode} DENY {target} {rule}");
        self.write(LogLevel::Warn, message, &metadata);
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

impl Passage {
    /// A connection to `target` at `address` that `rule` has allowed.
    pub(crate) fn begin(
        slot: Slot,
        mode: Mode,
        target: Target,
        address: Option<IpAddr>,
        rule: Rule,
    ) -> Self {
        Self {
            slot: Some(slot),
            started: Instant::now(),
            mode,
            target,
            address,
            rule,
            cut: false,
            meter: Arc::default(),
        }
    }

    /// A change of the policy cuts it.
    pub(crate) fn cut(mut self) {
        self.cut = true;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let Self {
            mode,
            target,
            rule,
            address,
            ..
        } = &*self;
        let duration = millis_since(self.started);
        let Counters { rx_bytes, tx_bytes } = self.meter.read();
        let action = if self.cut { "DENY" } else { "CLOSE" };
        let mut metadata = connection(*mode, action, target, *address, *rule);
        metadata["duration"] = duration.into();
        metadata["requestSize"] = tx_bytes.into();
        metadata["responseSize"] = rx_bytes.into();
        if self.cut {
            metadata["reason"] = POLICY_CHANGED.into();
            let message = format!("{mode} DENY {target} {rule}");
            return slot.write(LogLevel::Warn, message, &metadata);
        }
        let message =
            format!("{mode} CLOSE {target} {tx_bytes} B out, {rx_bytes} B in ({duration}ms)");
        slot.write(LogLevel::Info, message, &metadata);
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
            address: None,
            denied: false,
            reason: None,
            flight: None,
            flights: Flights::default(),
            status: CLIENT_LEFT,
            secrets: Vec::new(),
            stray: Arc::default(),
            meter: Arc::default(),
            usage: None,
        }
    }

    /// What its client said after the answer carries a placeholder.
    pub(crate) fn stray_in(&mut self, stray: Stray) {
        let _first = self.stray.set(stray);
    }

    /// What its client said after the answer is refused for this reason.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.denied = true;
        self.reason = Some(reason);
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
        let duration = millis_since(self.started);
        let Counters { rx_bytes, tx_bytes } = self.meter.read();
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
            "requestSize": tx_bytes,
            "responseSize": rx_bytes,
            "rule": self.rule.to_string(),
            "secrets": self.secrets,
        });
        let mut message = format!("{method} {url} - {status} ({duration}ms)");
        if let Some(address) = self.address {
            metadata["address"] = address.to_string().into();
        }
        if let Some(reason) = cut.then_some(POLICY_CHANGED).or(self.reason) {
            metadata["reason"] = reason.into();
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

fn connection(
    mode: Mode,
    action: &str,
    target: &Target,
    address: Option<IpAddr>,
    rule: Rule,
) -> serde_json::Value {
    let mut metadata = json!({
        "mode": mode.to_string(),
        "action": action,
        "host": target.host.to_string(),
        "port": target.port,
        "rule": rule.to_string(),
    });
    if let Some(address) = address {
        metadata["address"] = address.to_string().into();
    }
    metadata
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
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
