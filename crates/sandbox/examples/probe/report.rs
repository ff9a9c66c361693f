//! The table of a campaign.
//!
//! The tests leave one file of lines for each campaign and place: `calls.control.jsonl`,
//! `calls.gvisor.jsonl`, …

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

const CONTROL: &str = "control";
const SANDBOXES: [&str; 2] = ["gvisor", "runc"];

/// What happened to each probe in each place, in the order of the first file.
#[derive(Default)]
struct Table {
    campaign: String,
    order: Vec<String>,
    cells: BTreeMap<(String, String), (String, String)>,
}

/// Prints the report, writes it to `DIR/report.md`, and fails if anything got out or was not tried.
pub(crate) fn print(directory: &Path) -> ExitCode {
    match report(directory) {
        Ok((text, sound)) => {
            print!("{text}");
            if sound {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("probe: read {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn report(directory: &Path) -> io::Result<(String, bool)> {
    let mut campaigns = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some((campaign, _)) = name.split_once('.')
            && name.ends_with(".jsonl")
        {
            campaigns.insert(campaign.to_owned());
        }
    }
    let (mut text, mut sound) = (String::new(), !campaigns.is_empty());
    for campaign in campaigns {
        let (section, well) = Table::read(directory, campaign)?.report();
        text.push_str(&section);
        sound &= well;
    }
    text.push_str(if sound {
        "Nothing got out.\n"
    } else {
        "The campaign found something, or could not look.\n"
    });
    fs::write(directory.join("report.md"), &text)?;
    Ok((text, sound))
}

impl Table {
    fn read(directory: &Path, campaign: String) -> io::Result<Self> {
        let mut table = Self {
            campaign,
            ..Self::default()
        };
        for place in [CONTROL].iter().chain(&SANDBOXES) {
            let path = directory.join(format!("{}.{place}.jsonl", table.campaign));
            // What is missing is counted as a fault of each probe.
            let text = fs::read_to_string(path).unwrap_or_default();
            for line in text.lines() {
                let line: Value = serde_json::from_str(line)?;
                let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                let probe = word("probe");
                if !table.order.contains(&probe) {
                    table.order.push(probe.clone());
                }
                let cell = (word("outcome"), word("evidence"));
                table.cells.insert((probe, (*place).to_owned()), cell);
            }
        }
        Ok(table)
    }

    fn outcome(&self, probe: &str, place: &str) -> &str {
        self.cells
            .get(&(probe.to_owned(), place.to_owned()))
            .map_or("missing", |(outcome, _)| outcome)
    }

    /// The section of the report, and whether it is one of success.
    fn report(&self) -> (String, bool) {
        let mut text = format!(
            "## Campaign: {}\n\n| probe | control | gvisor | runc |\n|---|---|---|---|\n",
            self.campaign
        );
        let (mut hits, mut proven, mut lacking, mut faults) = (0, 0, 0, 0);
        for probe in &self.order {
            let control = self.outcome(probe, CONTROL);
            let cells = SANDBOXES.map(|place| self.outcome(probe, place));
            for cell in cells {
                match cell {
                    "succeeded" => hits += 1,
                    "refused" | "absent" | "harmless" => {}
                    _ => faults += 1,
                }
            }
            match control {
                "succeeded" => proven += 1,
                "absent" => lacking += 1,
                _ => faults += 1,
            }
            let [gvisor, runc] = cells;
            let [why_control, why_gvisor, why_runc] = [
                self.why(probe, CONTROL),
                self.why(probe, SANDBOXES[0]),
                self.why(probe, SANDBOXES[1]),
            ];
            let _ = writeln!(
                text,
                "| {probe} | {control}{why_control} | {gvisor}{why_gvisor} | {runc}{why_runc} |"
            );
        }
        let count = self.order.len();
        let _ = writeln!(
            text,
            "\n{count} probes on {} sandboxes: {hits} got out; {proven} proven by their control, \
             {lacking} of what this host lacks; {faults} faults.\n",
            SANDBOXES.len()
        );
        (text, hits == 0 && faults == 0 && count > 0)
    }

    /// Why a control did not succeed, or what a sandbox granted.
    fn why(&self, probe: &str, place: &str) -> String {
        let key = (probe.to_owned(), place.to_owned());
        let Some((outcome, evidence)) = self.cells.get(&key) else {
            return String::new();
        };
        let expected: &[&str] = if place == CONTROL {
            &["succeeded"]
        } else {
            &["refused", "absent"]
        };
        if expected.contains(&outcome.as_str()) {
            String::new()
        } else {
            format!(" ({evidence})")
        }
    }
}
