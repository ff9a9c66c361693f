//! Metric samples of runs.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use vm0_model::event::MetricSample;
use vm0_model::{Epoch, RunId};

use crate::error::StoreError;
use crate::record::{Appended, Leased};
use crate::sqlite::batch::insert_rows;
use crate::sqlite::columns::{Columns, signed};
use crate::sqlite::events::unrecorded;
use crate::sqlite::runs;

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const LIST: &str = "SELECT timestamp, cpu_percent, memory_used_bytes, \
     memory_total_bytes, disk_used_bytes, disk_total_bytes, network_rx_bytes, network_tx_bytes \
     FROM metrics WHERE run_id = $1 ORDER BY seq";

/// Appends samples, also to a run that has ended.
pub(super) async fn metric_append(
    connection: &mut SqliteConnection,
    run: RunId,
    epoch: Epoch,
    offset: u64,
    samples: Vec<MetricSample>,
) -> Result<Leased<Appended>> {
    let Some(progress) = runs::fenced(connection, run, epoch).await? else {
        return Ok(Leased::Stale);
    };
    let first = progress.metric_count + 1;
    let rows: Vec<(u64, MetricSample)> = (first..)
        .zip(unrecorded(samples, offset, progress.metric_count))
        .collect();
    let id = run.to_string();
    insert_rows(
        connection,
        "INSERT INTO metrics (run_id, seq, timestamp, cpu_percent, memory_used_bytes, \
         memory_total_bytes, disk_used_bytes, disk_total_bytes, network_rx_bytes, \
         network_tx_bytes) ",
        &rows,
        |columns, (seq, sample)| {
            columns
                .push_bind(id.clone())
                .push_bind(signed(*seq))
                .push_bind(sample.timestamp.micros())
                .push_bind(sample.cpu_percent)
                .push_bind(signed(sample.memory_used_bytes))
                .push_bind(signed(sample.memory_total_bytes))
                .push_bind(signed(sample.disk_used_bytes))
                .push_bind(signed(sample.disk_total_bytes))
                .push_bind(signed(sample.network_rx_bytes))
                .push_bind(signed(sample.network_tx_bytes));
        },
    )
    .await?;
    let next_offset = progress.metric_count + rows.len() as u64;
    if !rows.is_empty() {
        sqlx::query("UPDATE run_progress SET metric_count = $2 WHERE run_id = $1")
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

/// A row of `metrics`.
pub(super) fn sample(row: &SqliteRow) -> Result<MetricSample> {
    let columns = Columns {
        table: "metrics",
        row,
    };
    Ok(MetricSample {
        timestamp: columns.time("timestamp")?,
        cpu_percent: columns.get("cpu_percent")?,
        memory_used_bytes: columns.integer("memory_used_bytes")?,
        memory_total_bytes: columns.integer("memory_total_bytes")?,
        disk_used_bytes: columns.integer("disk_used_bytes")?,
        disk_total_bytes: columns.integer("disk_total_bytes")?,
        network_rx_bytes: columns.integer("network_rx_bytes")?,
        network_tx_bytes: columns.integer("network_tx_bytes")?,
    })
}
