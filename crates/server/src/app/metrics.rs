//! The metrics of a run (API 7).

use serde::Serialize;
use vm0_model::Timestamp;
use vm0_model::event::MetricSample;
use vm0_model::wire::page::Pagination;

use super::context::App;
use super::error::AppError;
use super::runs::execution_time_ms;
use super::tokens::Caller;

const MIB: f64 = (1u64 << 20) as f64;

/// All samples of a run and what they say together.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RunMetrics {
    data: Vec<Sample>,
    summary: Summary,
    pagination: Pagination,
}

/// What a sandbox used at one time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MetricSample)]
struct Sample {
    timestamp: Timestamp,
    /// Share of the CPUs given to the sandbox.
    #[schema(minimum = 0, maximum = 100)]
    cpu_percent: f64,
    /// In MiB.
    memory_used_mb: f64,
    /// In MiB.
    memory_total_mb: f64,
    /// In MiB.
    disk_used_mb: f64,
    /// In MiB.
    disk_total_mb: f64,
    /// The memory used, in bytes.
    memory_bytes: u64,
    /// Bytes received since the sandbox started.
    network_rx_bytes: u64,
    /// Bytes sent since the sandbox started.
    network_tx_bytes: u64,
}

/// What the samples say together; 0 without samples.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MetricSummary)]
struct Summary {
    /// The mean.
    avg_cpu_percent: f64,
    /// The same under another name.
    cpu_avg_percent: f64,
    /// The maximum of `memory_used_mb`.
    max_memory_used_mb: f64,
    /// The maximum of `memory_bytes`.
    memory_max_bytes: u64,
    /// That of the last sample.
    network_rx_bytes: u64,
    /// That of the last sample.
    network_tx_bytes: u64,
    /// Last minus first timestamp if there are two samples, else `execution_time_ms` of the run.
    total_duration_ms: Option<i64>,
}

impl App {
    /// The metrics of a run.
    pub(crate) async fn run_metrics(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<RunMetrics, AppError> {
        let run = self.run(caller, id).await?;
        let samples = self.store.metric_list(run.id).await?;
        Ok(RunMetrics {
            summary: summary(&samples, execution_time_ms(&run)),
            data: samples.iter().map(sample).collect(),
            pagination: Pagination {
                has_more: false,
                next_cursor: None,
            },
        })
    }
}

fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Bytes in MiB. Byte counts of a sandbox are far below the 2^53 that a double holds exactly.
fn mib(bytes: u64) -> f64 {
    two_decimals(bytes as f64 / MIB)
}

fn sample(sample: &MetricSample) -> Sample {
    Sample {
        timestamp: sample.timestamp,
        cpu_percent: sample.cpu_percent,
        memory_used_mb: mib(sample.memory_used_bytes),
        memory_total_mb: mib(sample.memory_total_bytes),
        disk_used_mb: mib(sample.disk_used_bytes),
        disk_total_mb: mib(sample.disk_total_bytes),
        memory_bytes: sample.memory_used_bytes,
        network_rx_bytes: sample.network_rx_bytes,
        network_tx_bytes: sample.network_tx_bytes,
    }
}

fn summary(samples: &[MetricSample], execution_time_ms: Option<i64>) -> Summary {
    let total: f64 = samples.iter().map(|sample| sample.cpu_percent).sum();
    let average = two_decimals(total / samples.len().max(1) as f64);
    let memory = samples
        .iter()
        .map(|sample| sample.memory_used_bytes)
        .max()
        .unwrap_or(0);
    let total_duration_ms = match samples {
        [first, .., last] => Some(last.timestamp.millis_since(first.timestamp)),
        _ => execution_time_ms,
    };
    Summary {
        avg_cpu_percent: average,
        cpu_avg_percent: average,
        max_memory_used_mb: mib(memory),
        memory_max_bytes: memory,
        network_rx_bytes: samples.last().map_or(0, |sample| sample.network_rx_bytes),
        network_tx_bytes: samples.last().map_or(0, |sample| sample.network_tx_bytes),
        total_duration_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64, cpu_percent: f64, memory_used_bytes: u64) -> MetricSample {
        MetricSample {
            timestamp: Timestamp::from_millis(millis),
            cpu_percent,
            memory_used_bytes,
            memory_total_bytes: 2048 << 20,
            disk_used_bytes: 0,
            disk_total_bytes: 0,
            network_rx_bytes: 7,
            network_tx_bytes: 8,
        }
    }

    #[test]
    fn without_samples_the_summary_is_zero_and_the_duration_that_of_the_run() {
        let summary = summary(&[], Some(59_000));
        assert_eq!(summary.avg_cpu_percent, 0.0);
        assert_eq!(summary.total_duration_ms, Some(59_000));
    }

    #[test]
    fn the_summary_has_mean_maximum_and_span() {
        let summary = summary(&[at(0, 10.0, 1 << 20), at(5_000, 20.005, 3 << 19)], None);
        assert_eq!(summary.avg_cpu_percent, 15.0);
        assert_eq!(summary.max_memory_used_mb, 1.5);
        assert_eq!(summary.total_duration_ms, Some(5_000));
    }
}
