//! The log of a run (API 6).

use vm0_model::event::{LogKind, LogLevel};
use vm0_model::wire::page::Page;
use vm0_model::wire::runs::LogLine;
use vm0_model::{ApiError, Timestamp};
use vm0_store::record::{LogFilter, LogPosition, StoredLog};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::tokens::Caller;

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogQuery {
    /// Only this log.
    pub(crate) kind: Option<LogKind>,
    /// Only this level.
    pub(crate) level: Option<LogLevel>,
    /// Not before this time.
    pub(crate) since: Option<Timestamp>,
    /// Not after this time.
    pub(crate) until: Option<Timestamp>,
    /// Newest first.
    pub(crate) descending: bool,
}

/// Cursors of logs: an earlier page's, or a bare time.
pub(crate) struct LogCursor;

impl LogCursor {
    fn encode(list: &str, row: &StoredLog) -> String {
        let entry = &row.entry;
        let (micros, kind) = (entry.timestamp.micros(), entry.kind.as_str());
        cursor::encode(list, &format!("{micros}|{kind}|{}", row.seq))
    }

    fn decode(list: &str, text: &str) -> Result<LogPosition, ApiError> {
        if let Ok(timestamp) = text.parse() {
            return Ok(LogPosition {
                timestamp,
                seq: None,
            });
        }
        let position = cursor::decode(list, text)?;
        let parse = || {
            let mut parts = position.splitn(3, '|');
            let timestamp = Timestamp::from_micros(parts.next()?.parse().ok()?);
            let name = parts.next()?;
            let kinds = [LogKind::System, LogKind::Agent, LogKind::Network];
            let kind = kinds.into_iter().find(|kind| kind.as_str() == name)?;
            let seq = parts.next()?.parse().ok()?;
            Some(LogPosition {
                timestamp,
                seq: Some((kind, seq)),
            })
        };
        parse().ok_or_else(|| ApiError::invalid("cursor", "Invalid cursor"))
    }
}

impl App {
    /// A page of the log of a run.
    pub(crate) async fn run_log_list(
        &self,
        caller: &Caller,
        id: &str,
        query: LogQuery,
        page: &PageRequest,
    ) -> Result<Page<LogLine>, AppError> {
        let list = format!("logs {id}");
        let after = match &page.cursor {
            None => None,
            Some(cursor) => Some(LogCursor::decode(&list, cursor)?),
        };
        let run = self.run(caller, id).await?;
        let filter = LogFilter {
            kind: query.kind,
            level: query.level,
            since: query.since,
            until: query.until,
            descending: query.descending,
            after,
            limit: page.limit,
        };
        let rows = self.store.log_list(run.id, &filter).await?;
        let lines: Vec<_> = rows
            .into_iter()
            .map(|row| Ok((LogCursor::encode(&list, &row), line(row)?)))
            .collect::<Result<_, AppError>>()?;
        Ok(cursor::page_of(
            page.limit,
            lines,
            |(cursor, _)| cursor.clone(),
            |(_, line)| line,
        ))
    }
}

fn line(row: StoredLog) -> Result<LogLine, AppError> {
    let entry = row.entry;
    let corrupt = |source| AppError::Corrupt {
        what: "log entry",
        source,
    };
    let metadata = entry
        .metadata
        .as_deref()
        .map(serde_json::from_str)
        .transpose();
    Ok(LogLine {
        timestamp: entry.timestamp,
        kind: entry.kind,
        level: entry.level,
        message: entry.message,
        metadata: metadata.map_err(corrupt)?,
    })
}

#[cfg(test)]
mod tests {
    use vm0_model::event::LogEntry;

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_entry_and_a_time_stands_for_itself() {
        let timestamp: Timestamp = "2026-01-15T10:30:01.420Z".parse().unwrap();
        let entry = LogEntry {
            timestamp,
            kind: LogKind::Network,
            level: LogLevel::Info,
            message: String::new(),
            metadata: None,
        };
        let cursor = LogCursor::encode("logs x", &StoredLog { seq: 9, entry });
        let position = LogPosition {
            timestamp,
            seq: Some((LogKind::Network, 9)),
        };
        assert_eq!(LogCursor::decode("logs x", &cursor), Ok(position));
        assert!(LogCursor::decode("logs y", &cursor).is_err());
        let bare = LogCursor::decode("logs x", "2026-01-15T10:30:01.420Z");
        assert_eq!(
            bare,
            Ok(LogPosition {
                timestamp,
                seq: None
            })
        );
        assert!(LogCursor::decode("logs x", "2026-01-15").is_err());
    }
}
