//! Logs.

use vm0_model::Timestamp;
use vm0_model::event::{LogEntry, LogKind, LogLevel};

/// A stored log entry with its place in the run's log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLog {
    /// Order of arrival within the run, from 1.
    pub seq: u64,
    /// The entry; agent entries are made of events.
    pub entry: LogEntry,
}

/// Which log entries to list, in the order of `(timestamp, arrival)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Only this log; agent entries are events, all of level info.
    pub kind: Option<LogKind>,
    /// Only this level.
    pub level: Option<LogLevel>,
    /// Inclusive bounds.
    pub since: Option<Timestamp>,
    /// Inclusive bounds.
    pub until: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
    /// The position after which the page begins.
    pub after: Option<LogPosition>,
    /// `limit + 1` entries are returned if there are so many.
    pub limit: u32,
}

/// A position in a run's merged log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Timestamp of the last entry shown.
    pub timestamp: Timestamp,
    /// Its place among entries of one timestamp: `None` stands after (before, if descending) all
    /// of them.
    pub seq: Option<(LogKind, u64)>,
}
