//! What a run emits: events, log entries and metric samples, as they are stored and streamed.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// An event as the runner sends it: the agent's own object, masked and cut to its limit. The
/// store gives it the next `seq` of its run and adds `sequenceNumber`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When the runner read it.
    pub timestamp: Timestamp,
    /// The agent event's own type, `message` if it has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole agent event as compact JSON text of an object, without `sequenceNumber`.
    pub data: String,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in its run, from 1 without gaps.
    pub seq: u64,
    /// When the runner read it.
    pub timestamp: Timestamp,
    /// The agent event's own type.
    pub kind: String,
    /// The whole agent event as compact JSON text of an object, with `sequenceNumber`.
    pub data: String,
}

/// Which log an entry belongs to; agent entries are the run's events seen as a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// What the platform did.
    System,
    /// What the agent said.
    Agent,
    /// What the gateway saw.
    Network,
}

/// The severity of a log entry.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// Normal.
    Info,
    /// Something was refused or degraded.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The level on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl LogKind {
    /// The kind on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Agent => "agent",
            Self::Network => "network",
        }
    }
}

/// An entry of the system or network log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it happened.
    pub timestamp: Timestamp,
    /// `System` or `Network`.
    #[serde(rename = "type")]
    pub kind: LogKind,
    /// Severity.
    pub level: LogLevel,
    /// Text, masked, at most [`crate::limits::LOG_LINE_MAX_BYTES`].
    pub message: String,
    /// Compact JSON text of an object, for network entries.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<String>,
}

/// One sample of what a sandbox used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricSample {
    /// When it was taken.
    pub timestamp: Timestamp,
    /// 0–100, share of the granted CPUs since the sample before.
    pub cpu_percent: f64,
    /// Memory used, in bytes.
    pub memory_used_bytes: u64,
    /// Memory limit, in bytes.
    pub memory_total_bytes: u64,
    /// Disk used, in bytes.
    pub disk_used_bytes: u64,
    /// Disk limit, in bytes.
    pub disk_total_bytes: u64,
    /// Bytes received since the sandbox started.
    pub network_rx_bytes: u64,
    /// Bytes sent since the sandbox started.
    pub network_tx_bytes: u64,
}
