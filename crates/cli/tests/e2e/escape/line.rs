//! What came of each probe, and the judgement over all.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Probes of what this host's kernel does not have; more of them would mean that the campaign
/// proves little.
const LACKING_MAX: usize = 12;

/// What gVisor grants of its own kernel, and why nothing follows from it.
const HARMLESS: [(&str, &str, &str); 2] = [
    (
        "gvisor",
        "maps-of-init",
        "where the guest agent has its memory, which stays closed",
    ),
    (
        "gvisor",
        "priority-of-init",
        "gVisor keeps the number and schedules all alike",
    ),
];

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) probe: String,
    pub(super) outcome: String,
    pub(super) evidence: String,
}

impl Line {
    /// Reads the lines that the probe program prints.
    pub(super) fn read_all(text: &str) -> Vec<Self> {
        text.lines()
            .map(|line| {
                let value: Value = serde_json::from_str(line).expect("a line of the probe is JSON");
                let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
                Self {
                    probe: word("probe"),
                    outcome: word("outcome"),
                    evidence: word("evidence"),
                }
            })
            .collect()
    }

    pub(super) fn new(probe: &str, got_out: bool, evidence: impl Into<String>) -> Self {
        let outcome = if got_out { "succeeded" } else { "refused" };
        Self {
            probe: probe.to_owned(),
            outcome: outcome.to_owned(),
            evidence: evidence.into(),
        }
    }
}

/// Fails, naming every probe, if one got out, was not run, or is not proven by its control.
#[track_caller]
pub(super) fn judge(
    campaign: &str,
    kind: &str,
    at_least: usize,
    control: &[Line],
    inside: &[Line],
) {
    let inside: Vec<Line> = inside.iter().map(|line| excused(kind, line)).collect();
    keep(campaign, "control", control);
    keep(campaign, kind, &inside);
    let mut faults = Vec::new();
    for line in control {
        if !matches!(line.outcome.as_str(), "succeeded" | "absent") {
            faults.push(format!(
                "{}: its control proves nothing, it is {}: {}",
                line.probe, line.outcome, line.evidence
            ));
        }
        let found = inside.iter().find(|other| other.probe == line.probe);
        match found.map(|line| (line.outcome.as_str(), &line.evidence)) {
            Some(("refused" | "absent" | "harmless", _)) => {}
            Some((outcome, evidence)) => {
                faults.push(format!("{} on {kind}: {outcome}: {evidence}", line.probe));
            }
            None => faults.push(format!("{} on {kind}: it was not run", line.probe)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let proven = control.iter().filter(|line| line.outcome == "succeeded");
    let proven = proven.count();
    assert!(proven >= at_least, "only {proven} probes are proven");
    let lacking = control.len() - proven;
    assert!(lacking <= LACKING_MAX, "this host lacks {lacking} things");
    assert_eq!(
        inside.len(),
        control.len(),
        "the same probes in both places"
    );
}

/// The line, marked if what it achieved is known to be worth nothing.
fn excused(kind: &str, line: &Line) -> Line {
    let known = HARMLESS
        .iter()
        .find(|(place, probe, _)| (*place, *probe) == (kind, line.probe.as_str()));
    match known {
        Some((_, _, why)) if line.outcome == "succeeded" => Line {
            outcome: "harmless".to_owned(),
            evidence: (*why).to_owned(),
            ..line.clone()
        },
        _ => line.clone(),
    }
}

/// Leaves the lines for the report.
fn keep(campaign: &str, place: &str, lines: &[Line]) {
    let Some(directory) = std::env::var_os("VM0_REDTEAM").map(PathBuf::from) else {
        return;
    };
    let text: String = lines
        .iter()
        .map(|line| {
            let value = json!({ "probe": line.probe, "outcome": line.outcome,
                                "evidence": line.evidence });
            format!("{value}\n")
        })
        .collect();
    // Both runtimes have a control; whoever is last leaves its own whole.
    let path = directory.join(format!("{campaign}.{place}.jsonl"));
    let partial = directory.join(format!(".{campaign}.{place}.{}", std::process::id()));
    std::fs::write(&partial, text).expect("VM0_REDTEAM names a directory");
    std::fs::rename(partial, path).expect("VM0_REDTEAM names a directory");
}
