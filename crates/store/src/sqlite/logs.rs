//! Log entries of runs, and the merged log of entries and events.
//!
//! Each kind and level has its own range of one index. A page is made of the first rows of every
//! range that the filter admits, merged by `(timestamp, arrival)`: its cost does not depend on how
//! long the log is, whatever the filter.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::event::{LogEntry, LogKind, LogLevel};
use vm0_model::{Epoch, RunId, Timestamp};

use crate::error::StoreError;
use crate::record::{Appended, Leased, LogFilter, LogPosition, StoredLog};
use crate::sqlite::batch::insert_rows;
use crate::sqlite::columns::{Columns, signed};
use crate::sqlite::events::unrecorded;
use crate::sqlite::runs;

type Result<T> = std::result::Result<T, StoreError>;

const KINDS: [LogKind; 2] = [LogKind::System, LogKind::Network];
const LEVELS: [LogLevel; 4] = [
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];

macro_rules! select_log {
    ($order:literal) => {
        concat!(
            "SELECT arrival, timestamp, kind, level, message, metadata FROM logs ",
            "WHERE run_id = $1 AND (timestamp, arrival) > ($2, $3) ",
            "AND (timestamp, arrival) < ($4, $5) AND kind = $7 AND level = $8 ",
            $order,
            " LIMIT $6"
        )
    };
}
macro_rules! select_event {
    ($order:literal) => {
        concat!(
            "SELECT arrival, timestamp, seq, kind, data FROM events ",
            "WHERE run_id = $1 AND (timestamp, arrival) > ($2, $3) ",
            "AND (timestamp, arrival) < ($4, $5) ",
            $order,
            " LIMIT $6"
        )
    };
}

pub(super) const LIST: &str = select_log!("ORDER BY timestamp, arrival");
pub(super) const LIST_DESCENDING: &str = select_log!("ORDER BY timestamp DESC, arrival DESC");
pub(super) const EVENTS: &str = select_event!("ORDER BY timestamp, arrival");
pub(super) const EVENTS_DESCENDING: &str = select_event!("ORDER BY timestamp DESC, arrival DESC");

struct LogRow {
    arrival: u64,
    entry: LogEntry,
}

/// Appends entries, also to a run that has ended.
pub(super) async fn log_append(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Epoch,
    offset: u64,
    entries: Vec<LogEntry>,
) -> Result<Leased<Appended>> {
    let Some(progress) = runs::fenced(connection, run, epoch).await? else {
        return Ok(Leased::Stale);
    };
    let first = progress.event_count + progress.log_count + 1;
    let rows: Vec<LogRow> = unrecorded(entries, offset, progress.log_count)
        .into_iter()
        .zip(first..)
        .map(|(entry, arrival)| LogRow { arrival, entry })
        .collect();
    let id = run.to_string();
    insert_rows(
        connection,
        "INSERT INTO logs (run_id, arrival, timestamp, kind, level, message, metadata) ",
        &rows,
        |columns, row| {
            columns
                .push_bind(id.clone())
                .push_bind(signed(row.arrival))
                .push_bind(row.entry.timestamp.micros())
                .push_bind(row.entry.kind.as_str())
                .push_bind(row.entry.level.as_str())
                .push_bind(row.entry.message.clone())
                .push_bind(row.entry.metadata.clone());
        },
    )
    .await?;
    let next_offset = progress.log_count + rows.len() as u64;
    if !rows.is_empty() {
        sqlx::query("UPDATE run_progress SET log_count = $2 WHERE run_id = $1")
            .bind(id)
            .bind(signed(next_offset))
            .execute(connection)
            .await?;
    }
    Ok(Leased::Done(Appended {
        next_offset,
        added: rows.len() as u64,
        status: progress.status,
    }))
}

/// Log entries and events merged by `(timestamp, arrival)`.
pub(super) async fn log_list(
    connection: &mut SqliteConnection,
    run: RunId,
    filter: &LogFilter,
) -> Result<Vec<StoredLog>> {
    let range = Range::of(run, filter);
    let mut found = Vec::new();
    let events_wanted = filter.kind.is_none_or(|kind| kind == LogKind::Agent)
        && filter.level.is_none_or(|level| level == LogLevel::Info);
    if events_wanted {
        let sql = if filter.descending {
            EVENTS_DESCENDING
        } else {
            EVENTS
        };
        for row in range.bind(sql).fetch_all(&mut *connection).await? {
            found.push(event_entry(&row)?);
        }
    }
    let sql = if filter.descending {
        LIST_DESCENDING
    } else {
        LIST
    };
    for kind in KINDS
        .into_iter()
        .filter(|kind| filter.kind.is_none_or(|only| only == *kind))
    {
        for level in LEVELS
            .into_iter()
            .filter(|level| filter.level.is_none_or(|it| it == *level))
        {
            let query = range.bind(sql).bind(kind.as_str()).bind(level.as_str());
            for row in query.fetch_all(&mut *connection).await? {
                found.push(entry(&row, kind, level)?);
            }
        }
    }
    found.sort_unstable_by_key(|log| (log.entry.timestamp, log.seq));
    if filter.descending {
        found.reverse();
    }
    found.truncate(usize::try_from(range.limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// A part of a run's log between two positions, both outside.
struct Range {
    run: String,
    above: (i64, i64),
    below: (i64, i64),
    limit: i64,
}

impl Range {
    fn of(run: RunId, filter: &LogFilter) -> Self {
        let mut above = (filter.since.map_or(i64::MIN, Timestamp::micros), 0);
        let mut below = (filter.until.map_or(i64::MAX, Timestamp::micros), i64::MAX);
        if let Some(LogPosition { timestamp, seq }) = filter.after {
            let seq = seq.map(|(_, arrival)| signed(arrival));
            if filter.descending {
                below = below.min((timestamp.micros(), seq.unwrap_or(0)));
            } else {
                above = above.max((timestamp.micros(), seq.unwrap_or(i64::MAX)));
            }
        }
        Self {
            run: run.to_string(),
            above,
            below,
            limit: i64::from(filter.limit) + 1,
        }
    }

    fn bind(
        &self,
        sql: &'static str,
    ) -> sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
        sqlx::query(sql)
            .bind(self.run.clone())
            .bind(self.above.0)
            .bind(self.above.1)
            .bind(self.below.0)
            .bind(self.below.1)
            .bind(self.limit)
    }
}

fn entry(row: &SqliteRow, kind: LogKind, level: LogLevel) -> Result<StoredLog> {
    let columns = Columns { table: "logs", row };
    Ok(StoredLog {
        seq: columns.integer("arrival")?,
        entry: LogEntry {
            timestamp: columns.time("timestamp")?,
            kind,
            level,
            message: columns.get("message")?,
            metadata: columns.get("metadata")?,
        },
    })
}

/// An event seen as an entry of the agent's log (API 6).
fn event_entry(row: &SqliteRow) -> Result<StoredLog> {
    let columns = Columns {
        table: "events",
        row,
    };
    let seq: u64 = columns.integer("seq")?;
    let kind: String = columns.get("kind")?;
    let data: String = columns.get("data")?;
    let kind_json = serde_json::Value::from(kind.as_str());
    let metadata =
        format!(r#"{{"sequenceNumber":{seq},"eventType":{kind_json},"eventData":{data}}}"#);
    Ok(StoredLog {
        seq: columns.integer("arrival")?,
        entry: LogEntry {
            timestamp: columns.time("timestamp")?,
            kind: LogKind::Agent,
            level: LogLevel::Info,
            message: format!("[{kind}] {data}"),
            metadata: Some(metadata),
        },
    })
}
