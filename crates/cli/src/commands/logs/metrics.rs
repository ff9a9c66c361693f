//! `vm0 logs --metrics`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vm0_client::Client;
use vm0_model::id::RunId;
use vm0_model::time::Timestamp;

use super::command::{Wanted, Window};
use super::entries::more_entries;
use super::lines::stamp;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::units;

const POLL: Duration = Duration::from_secs(2);

/// A sample as the API has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sample {
    timestamp: Timestamp,
    cpu_percent: f64,
    memory_used_mb: f64,
    memory_total_mb: f64,
    memory_bytes: u64,
    disk_used_mb: f64,
    disk_total_mb: f64,
    network_rx_bytes: u64,
    network_tx_bytes: u64,
}

pub(super) async fn execute(
    context: &Context,
    client: &Client,
    run: RunId,
    wanted: &Wanted,
    follow: bool,
) -> CommandResult {
    if !follow {
        return once(context, client, run, wanted).await;
    }
    tokio::select! {
        result = following(context, client, run, wanted) => result,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn once(context: &Context, client: &Client, run: RunId, wanted: &Wanted) -> CommandResult {
    let output = &context.output;
    let answer = client.run_metrics(run).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(Exit::Done);
    }
    let all = samples(&answer, wanted)?;
    if all.is_empty() {
        output.note("No metrics logs.");
        return Ok(Exit::Done);
    }
    let shown = match wanted.window {
        Window::All => &all[..],
        Window::Head(count) => &all[..count.min(all.len())],
        Window::Tail(count) => &all[all.len().saturating_sub(count)..],
    };
    for sample in shown {
        output.line(&sample.line())?;
    }
    if shown.len() < all.len() {
        output.note(&more_entries((all.len() - shown.len()) as u64));
    }
    Ok(Exit::Done)
}

async fn following(
    context: &Context,
    client: &Client,
    run: RunId,
    wanted: &Wanted,
) -> CommandResult {
    let mut shown = 0;
    loop {
        let status = client.run_view(run).await?.run.status;
        let answer = client.run_metrics(run).await?;
        let all = samples(&answer, wanted)?;
        for sample in all.iter().skip(shown) {
            if context.output.is_json() {
                context.output.json(sample)?;
            } else {
                context.output.line(&sample.line())?;
            }
        }
        shown = all.len();
        if status.is_terminal() {
            return Ok(Exit::of_run(status));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn samples(answer: &Value, wanted: &Wanted) -> Result<Vec<Sample>, Failure> {
    let all: Vec<Sample> = serde_json::from_value(answer["data"].clone()).map_err(|error| {
        let message = format!("Failed to understand the metrics: {error}");
        Failure::new(Exit::Failed, "client_failure", message)
    })?;
    let inside = |sample: &Sample| {
        wanted.since.is_none_or(|since| sample.timestamp >= since)
            && wanted.until.is_none_or(|until| sample.timestamp <= until)
    };
    Ok(all.into_iter().filter(inside).collect())
}

impl Sample {
    fn line(&self) -> String {
        let share = |used: f64, total: f64| {
            let percent = if total > 0.0 {
                used / total * 100.0
            } else {
                0.0
            };
            format!(
                "{}/{} ({percent:.1}%)",
                units::mebibytes(used),
                units::mebibytes(total)
            )
        };
        format!(
            "{} CPU: {:.1}% | Mem: {} | Disk: {} | Net: {} in, {} out",
            stamp(self.timestamp),
            self.cpu_percent,
            share(self.memory_used_mb, self.memory_total_mb),
            share(self.disk_used_mb, self.disk_total_mb),
            units::bytes(self.network_rx_bytes),
            units::bytes(self.network_tx_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_is_one_line() {
        let sample: Sample = serde_json::from_value(json!({
            "timestamp": "2026-01-15T10:30:00.000Z", "cpu_percent": 12.5, "memory_used_mb": 512.0,
            "memory_total_mb": 2048.0, "memory_bytes": 536_870_912, "disk_used_mb": 80.0, "disk_total_mb": 10240.0,
            "network_rx_bytes": 1_200_000, "network_tx_bytes": 80_000,
        }))
        .unwrap();
        assert_eq!(
            sample.line(),
            "[2026-01-15T10:30:00Z] CPU: 12.5% | Mem: 512.0 MB/2.0 GB (25.0%) | \
             Disk: 80.0 MB/10.0 GB (0.8%) | Net: 1.2 MB in, 80 kB out"
        );
    }
}
