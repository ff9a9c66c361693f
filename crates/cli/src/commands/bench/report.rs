//! What was measured, as a table and as JSON.

use std::io;

use serde::Serialize;

use super::quantiles::Quantiles;
use super::runs::Timed;
use super::volume::VolumeCost;
use crate::output::Output;
use crate::table::Table;

/// Everything about one kind of sandbox; times in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct KindReport {
    sandbox: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
    /// The runtime by itself.
    raw_ms: Option<Quantiles>,
    /// The first run after the server's start.
    first_ms: Option<f64>,
    sequential: Option<Series>,
    /// Median of the sequential runs over that of the runtime by itself.
    ratio: Option<f64>,
    concurrent: Option<Series>,
    volume: Option<VolumeCost>,
}

/// A series of runs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Series {
    runs: usize,
    completed: usize,
    first_event_ms: Quantiles,
    queue_ms: Quantiles,
    sandbox_ready_ms: Quantiles,
    rest_ms: Quantiles,
}

impl Series {
    fn of(runs: &[Timed]) -> Self {
        Self {
            runs: runs.len(),
            completed: runs.iter().filter(|run| run.completed).count(),
            first_event_ms: Quantiles::of(runs.iter().filter_map(|run| run.first_event_ms)),
            queue_ms: Quantiles::of(runs.iter().map(|run| run.queue_ms)),
            sandbox_ready_ms: Quantiles::of(runs.iter().map(|run| run.sandbox_ready_ms)),
            rest_ms: Quantiles::of(runs.iter().map(Timed::rest_ms)),
        }
    }
}

impl KindReport {
    /// A kind that does not work here.
    pub(super) fn unavailable(kind: &str, why: &str) -> Self {
        Self {
            sandbox: kind.to_owned(),
            unavailable: Some(why.to_owned()),
            raw_ms: None,
            first_ms: None,
            sequential: None,
            ratio: None,
            concurrent: None,
            volume: None,
        }
    }

    /// A kind that was measured.
    pub(super) fn new(
        kind: &str,
        raw_ms: Option<Quantiles>,
        first: &Timed,
        sequential: &[Timed],
        concurrent: &[Timed],
        volume: Option<VolumeCost>,
    ) -> Self {
        let sequential = Series::of(sequential);
        Self {
            sandbox: kind.to_owned(),
            unavailable: None,
            raw_ms,
            first_ms: first.first_event_ms,
            ratio: raw_ms.map(|raw| sequential.first_event_ms.p50 / raw.p50),
            sequential: Some(sequential),
            concurrent: Some(Series::of(concurrent)),
            volume,
        }
    }

    /// Whether every run completed.
    pub(super) fn is_complete(&self) -> bool {
        let all = |series: &Option<Series>| series.is_none_or(|s| s.completed == s.runs);
        all(&self.sequential) && all(&self.concurrent)
    }
}

/// Prints the tables.
pub(super) fn print(output: &Output, reports: &[KindReport]) -> io::Result<()> {
    let mut table = Table::new(&[
        "SANDBOX",
        "WHAT",
        "RUNS",
        "COMPLETED",
        "P50 MS",
        "P95 MS",
        "P99 MS",
    ]);
    for report in reports {
        let kind = report.sandbox.as_str();
        if let Some(raw) = &report.raw_ms {
            table.row(row(kind, "runtime alone, /bin/true", None, raw));
        }
        for (name, series) in [
            ("sequential", &report.sequential),
            ("concurrent", &report.concurrent),
        ] {
            let Some(series) = series else { continue };
            let what = format!("{name}: POST to first event");
            table.row(row(kind, &what, Some(series), &series.first_event_ms));
            for (stage, times) in [
                ("queue", &series.queue_ms),
                ("sandbox ready", &series.sandbox_ready_ms),
                ("rest", &series.rest_ms),
            ] {
                table.row(row(kind, &format!("  {stage}"), None, times));
            }
        }
        if let Some(volume) = &report.volume {
            table.row(row(
                kind,
                "claim to agent, volume of 1 file",
                None,
                &volume.small,
            ));
            table.row(row(
                kind,
                "claim to agent, volume of 1 GB",
                None,
                &volume.large,
            ));
        }
    }
    table.print(output)?;
    for report in reports {
        print_summary(output, report)?;
    }
    Ok(())
}

fn print_summary(output: &Output, report: &KindReport) -> io::Result<()> {
    let kind = &report.sandbox;
    if let Some(why) = &report.unavailable {
        return output.line(&format!("{kind}: not measured: {why}"));
    }
    if let (Some(ratio), Some(first)) = (report.ratio, report.first_ms) {
        output.line(&format!(
            "{kind}: {ratio:.2} × the runtime alone; first run after the start {first:.0} ms"
        ))?;
    }
    match &report.volume {
        Some(volume) => {
            let difference = volume.difference_ms;
            output.line(&format!(
                "{kind}: 1 GB in 10,000 cached files cost {difference:.0} ms"
            ))
        }
        None => Ok(()),
    }
}

fn row(kind: &str, what: &str, series: Option<&Series>, times: &Quantiles) -> Vec<String> {
    let millis = |value: f64| format!("{value:.0}");
    let count = |count: Option<usize>| count.map(|count| count.to_string()).unwrap_or_default();
    vec![
        kind.to_owned(),
        what.to_owned(),
        count(series.map(|series| series.runs)),
        count(series.map(|series| series.completed)),
        millis(times.p50),
        millis(times.p95),
        millis(times.p99),
    ]
}
