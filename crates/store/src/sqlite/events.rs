//! Events of runs; logs and metrics are in their own files.

use async_trait::async_trait;
use futures::FutureExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::event::{Event, LogEntry, MetricSample, NewEvent};
use vm0_model::{Epoch, RunId};

use crate::contract::EventStore;
use crate::error::StoreError;
use crate::record::{Appended, Leased, LogFilter, StoredLog};
use crate::sequence::with_sequence_number;
use crate::sqlite::batch::insert_rows;
use crate::sqlite::columns::{Columns, all, signed};
use crate::sqlite::store::SqliteStore;
use crate::sqlite::{logs, metrics, runs};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const LIST: &str = "SELECT seq, timestamp, kind, data FROM events \
     WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

#[async_trait]
impl EventStore for SqliteStore {
    async fn event_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        events: Vec<NewEvent>,
    ) -> Result<Leased<Appended>> {
        self.write(move |connection| event_append(connection, run, epoch, offset, events).boxed())
            .await
    }

    async fn event_list(&self, run: RunId, after: u64, limit: u32) -> Result<Vec<Event>> {
        let rows = sqlx::query(LIST)
            .bind(run.to_string())
            .bind(signed(after))
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, event)
    }

    async fn log_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        entries: Vec<LogEntry>,
    ) -> Result<Leased<Appended>> {
        self.write(move |connection| {
            logs::log_append(connection, run, epoch, offset, entries).boxed()
        })
        .await
    }

    async fn log_list(&self, run: RunId, filter: &LogFilter) -> Result<Vec<StoredLog>> {
        let filter = filter.clone();
        self.read(move |connection| {
            async move { logs::log_list(connection, run, &filter).await }.boxed()
        })
        .await
    }

    async fn metric_append(
        &self,
        run: RunId,
        epoch: Epoch,
        offset: u64,
        samples: Vec<MetricSample>,
    ) -> Result<Leased<Appended>> {
        self.write(move |connection| {
            metrics::metric_append(connection, run, epoch, offset, samples).boxed()
        })
        .await
    }

    async fn metric_list(&self, run: RunId) -> Result<Vec<MetricSample>> {
        let rows = sqlx::query(metrics::LIST)
            .bind(run.to_string())
            .fetch_all(&mut *self.reader().await?)
            .await?;
        all(&rows, metrics::sample)
    }
}

/// What of a batch is new: nothing if it begins after the end, or repeats what is recorded.
pub(super) fn unrecorded<T>(mut batch: Vec<T>, offset: u64, recorded: u64) -> Vec<T> {
    let Some(known) = recorded.checked_sub(offset) else {
        return Vec::new();
    };
    let known = usize::try_from(known)
        .unwrap_or(usize::MAX)
        .min(batch.len());
    batch.split_off(known)
}

struct EventRow {
    seq: u64,
    arrival: u64,
    event: NewEvent,
    data: String,
}

async fn event_append(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Epoch,
    offset: u64,
    events: Vec<NewEvent>,
) -> Result<Leased<Appended>> {
    let Some(progress) = runs::fenced(connection, run, epoch).await? else {
        return Ok(Leased::Stale);
    };
    let status = progress.status;
    if status.is_terminal() {
        return Ok(Leased::Done(Appended {
            next_offset: progress.event_count,
            added: 0,
            status,
        }));
    }
    let mut rows = Vec::new();
    let arrival = progress.event_count + progress.log_count;
    for (event, n) in unrecorded(events, offset, progress.event_count)
        .into_iter()
        .zip(1..)
    {
        let seq = progress.event_count + n;
        let data = with_sequence_number(&event.data, seq).ok_or(StoreError::EventData)?;
        rows.push(EventRow {
            seq,
            arrival: arrival + n,
            event,
            data,
        });
    }
    let id = run.to_string();
    insert_rows(
        connection,
        "INSERT INTO events (run_id, seq, arrival, timestamp, kind, data) ",
        &rows,
        |columns, row| {
            columns
                .push_bind(id.clone())
                .push_bind(signed(row.seq))
                .push_bind(signed(row.arrival))
                .push_bind(row.event.timestamp.micros())
                .push_bind(row.event.kind.clone())
                .push_bind(row.data.clone());
        },
    )
    .await?;
    let next_offset = progress.event_count + rows.len() as u64;
    if !rows.is_empty() {
        sqlx::query("UPDATE run_progress SET event_count = $2 WHERE run_id = $1")
            .bind(id)
            .bind(signed(next_offset))
            .execute(connection)
            .await?;
    }
    Ok(Leased::Done(Appended {
        next_offset,
        added: rows.len() as u64,
        status,
    }))
}

fn event(row: &SqliteRow) -> Result<Event> {
    let columns = Columns {
        table: "events",
        row,
    };
    Ok(Event {
        seq: columns.integer("seq")?,
        timestamp: columns.time("timestamp")?,
        kind: columns.get("kind")?,
        data: columns.get("data")?,
    })
}
