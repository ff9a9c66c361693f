//! The blocks of text at a run's start and end.

use std::io;

use vm0_model::id::RunId;
use vm0_model::run::RunStatus;
use vm0_model::wire::runs::{RunDetail, Usage};

use crate::error::Failure;
use crate::output::{Color, Output, detail};
use crate::units;

/// Reads the id of a run; any other text names no run.
pub(crate) fn parse_run_id(text: &str) -> Result<RunId, Failure> {
    text.parse().map_err(|_| {
        Failure::not_found(format!("No such run: '{text}'")).hint("See: vm0 run list --all")
    })
}

/// The block at the start.
pub(super) fn print_start(output: &Output, run: &RunDetail) -> io::Result<()> {
    output.line(&format!("{} Run started", output.paint(Color::Cyan, "▶")))?;
    output.detail("Run ID", run.run.id)?;
    if let Some(sandbox) = &run.sandbox {
        output.detail("Sandbox", sandbox)?;
    }
    output.detail("Logs", format_args!("vm0 logs {} --follow", run.run.id))
}

/// The block at the end: a completed run on stdout, any other on stderr.
pub(super) fn print_end(output: &Output, run: &RunDetail) -> io::Result<()> {
    if run.run.status == RunStatus::Completed {
        output.success("Run completed successfully")?;
        return completed_lines(run)
            .iter()
            .try_for_each(|line| output.line(line));
    }
    let title = match run.run.status {
        RunStatus::Timeout => "Run timed out",
        RunStatus::Cancelled => "Run cancelled",
        _ => "Run failed",
    };
    output.error(title, &[]);
    for line in unfinished_lines(run) {
        output.error_line(&line);
    }
    Ok(())
}

/// What to type next, after a completed run.
pub(super) fn print_next(output: &Output, run: &RunDetail) -> io::Result<()> {
    output.line("Next:")?;
    output.line(&format!("  vm0 logs {}", run.run.id))?;
    if let Some(session) = run.session_id {
        output.line(&format!("  vm0 run continue {session} \"…\""))?;
    }
    match run.checkpoint_id {
        Some(checkpoint) => output.line(&format!("  vm0 run resume {checkpoint} \"…\"")),
        None => Ok(()),
    }
}

/// The lines of a completed run below its title. Their labels are stable.
pub(super) fn completed_lines(run: &RunDetail) -> Vec<String> {
    let mut lines = vec![detail("Run ID", run.run.id)];
    lines.extend(run.checkpoint_id.map(|id| detail("Checkpoint", id)));
    lines.extend(run.session_id.map(|id| detail("Session", id)));
    if let (Some(name), Some(version)) = (&run.artifact_name, &run.artifact_version) {
        lines.push("  Artifact:".to_owned());
        lines.push(format!("    {name}: {}", units::short(version)));
    }
    if let Some(volumes) = run.volumes.as_ref().filter(|volumes| !volumes.is_empty()) {
        lines.push("  Volumes:".to_owned());
        let volume =
            |(key, version): (&String, &String)| format!("    {key}: {}", units::short(version));
        lines.extend(volumes.iter().map(volume));
    }
    lines.extend(
        run.execution_time_ms
            .map(|millis| detail("Time", time_text(run, millis))),
    );
    lines.extend(
        run.usage
            .and_then(usage_text)
            .map(|text| detail("Usage", text)),
    );
    lines
}

fn unfinished_lines(run: &RunDetail) -> Vec<String> {
    let mut lines = vec![detail("Run ID", run.run.id)];
    if let Some(error) = run
        .error
        .as_ref()
        .filter(|_| run.run.status != RunStatus::Cancelled)
    {
        let error = crate::events::escape(error).replace('\n', "\n    ");
        lines.push(detail("Error", error));
    }
    lines.push(detail(
        "Logs",
        format_args!("vm0 logs {} --system", run.run.id),
    ));
    if let (Some(name), Some(version)) = (&run.artifact_name, run.salvaged_artifact_version) {
        let version = version.short();
        lines.push("  Salvaged:".to_owned());
        lines.push(format!("    {name}: {version}"));
        lines.push(format!("    vm0 artifact clone {name} --version {version}"));
    }
    lines
}

fn time_text(run: &RunDetail, millis: i64) -> String {
    let waits = [
        ("queued", run.timings.queue_ms),
        ("sandbox ready", run.timings.sandbox_ready_ms),
    ];
    let known = waits
        .into_iter()
        .filter_map(|(label, millis)| Some((label, millis?)));
    let parts: Vec<_> = known
        .map(|(label, millis)| format!("{label} {}", units::seconds(millis)))
        .collect();
    let total = units::seconds(millis);
    if parts.is_empty() {
        total
    } else {
        format!("{total} ({})", parts.join(", "))
    }
}

fn usage_text(usage: Usage) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(
        usage
            .input_tokens
            .map(|tokens| format!("{} in", units::count(tokens))),
    );
    parts.extend(
        usage
            .output_tokens
            .map(|tokens| format!("{} out", units::count(tokens))),
    );
    parts.extend(usage.cost_usd.map(|cost| format!("${cost:.4}")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(changes: serde_json::Value) -> RunDetail {
        let mut value = json!({
            "id": "019bc134-7840-7cba-a551-2100f80b56fc",
            "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
            "agent_name": "demo", "status": "completed", "prompt": "p",
            "created_at": "2026-01-15T10:30:00.000Z", "started_at": "2026-01-15T10:30:01.000Z",
            "completed_at": "2026-01-15T10:31:00.000Z", "error": null, "execution_time_ms": 59000,
            "checkpoint_id": "019bc135-62a0-7732-8987-f9a49d5b0011",
            "session_id": "019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
            "artifact_name": "out", "artifact_version": "1a2b3c4d".repeat(8),
            "volumes": {"books": "3fa9c07d".repeat(8)}, "salvaged_artifact_version": null,
            "agent_version": "0a6bc1e3".repeat(8), "timeout_seconds": 7200, "output": "done",
            "exit_code": 0, "sandbox": "gvisor",
            "usage": {"input_tokens": 1200, "output_tokens": 340, "cost_usd": 0.0123},
            "timings": {"queue_ms": 1000, "sandbox_ready_ms": 420},
        });
        for (key, change) in changes.as_object().unwrap() {
            value[key] = change.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_completion_block_is_that_of_the_specification() {
        assert_eq!(
            completed_lines(&run(json!({}))),
            [
                "  Run ID:      019bc134-7840-7cba-a551-2100f80b56fc",
                "  Checkpoint:  019bc135-62a0-7732-8987-f9a49d5b0011",
                "  Session:     019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
                "  Artifact:",
                "    out: 1a2b3c4d",
                "  Volumes:",
                "    books: 3fa9c07d",
                "  Time:        59.0 s (queued 1.0 s, sandbox ready 0.4 s)",
                "  Usage:       1.2k in, 340 out, $0.0123",
            ]
        );
    }

    #[test]
    fn lines_without_a_value_are_absent() {
        let bare = run(
            json!({"artifact_name": null, "artifact_version": null, "usage": null,
            "volumes": {}, "timings": {"queue_ms": null, "sandbox_ready_ms": null}}),
        );
        assert_eq!(completed_lines(&bare).len(), 4);
    }

    #[test]
    fn a_failed_run_names_its_error_and_what_was_salvaged() {
        let failed = run(json!({"status": "failed", "error": "boom\nagain",
            "artifact_version": null, "salvaged_artifact_version": "5d0c11aa".repeat(8)}));
        assert_eq!(
            unfinished_lines(&failed),
            [
                "  Run ID:      019bc134-7840-7cba-a551-2100f80b56fc",
                "  Error:       boom\n    again",
                "  Logs:        vm0 logs 019bc134-7840-7cba-a551-2100f80b56fc --system",
                "  Salvaged:",
                "    out: 5d0c11aa",
                "    vm0 artifact clone out --version 5d0c11aa",
            ]
        );
    }

    #[test]
    fn another_text_than_an_id_names_no_run() {
        assert_eq!(
            parse_run_id("nope").unwrap_err().exit(),
            crate::exit::Exit::NotFound
        );
    }
}
