//! What came of each technique, and the verdict.

use std::fmt::Write;
use std::path::PathBuf;

use super::judge::Judge;
use super::sites::Loot;

const SHOWN: usize = 60;

pub(super) struct Report {
    kind: String,
    seed: u64,
    rows: Vec<String>,
    proven: usize,
    hits: usize,
    scanned: u64,
    faults: Vec<String>,
}

impl Report {
    pub(super) fn new(kind: &str, seed: u64) -> Self {
        Self {
            kind: kind.to_owned(),
            seed,
            rows: Vec::new(),
            proven: 0,
            hits: 0,
            scanned: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn techniques(&self) -> usize {
        self.rows.len()
    }

    /// Judges what a technique brought: nothing brokered, and the control if it is to prove that
    /// the technique works, or not if everything is to be refused.
    pub(super) fn technique(&mut self, loot: &Loot, judge: &Judge, control: &Judge) {
        let shown = !control.find(&loot.bytes).is_empty();
        self.scan(
            &format!("the loot of '{}'", loot.technique),
            &loot.bytes,
            judge,
        );
        let expected = match loot.kind.as_str() {
            "echo" => shown,
            "refused" => !shown,
            _ => true,
        };
        let text = String::from_utf8_lossy(&loot.bytes).into_owned();
        let last: String = text.chars().rev().take(600).collect();
        let last: String = last.chars().rev().collect();
        let what = format!(
            "the control came through '{}' ({}): {shown}: {last:?}",
            loot.technique, loot.kind
        );
        self.expect(expected, &what);
        self.proven += usize::from(shown);
        let first: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(SHOWN)
            .collect();
        let first = first.escape_debug().to_string().replace('|', "\\|");
        let shown = if shown { "yes" } else { "no" };
        self.rows.push(format!(
            "| {} | {shown} | {} | `{first}` |",
            loot.technique,
            loot.bytes.len()
        ));
    }

    /// Looks for brokered values.
    pub(super) fn scan(&mut self, what: &str, bytes: &[u8], judge: &Judge) {
        self.scanned += bytes.len() as u64;
        let found = judge.find(bytes);
        self.hits += found.len();
        if !found.is_empty() {
            self.faults.push(format!("{found:?} in {what}"));
        }
    }

    pub(super) fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.faults.push(format!("not as expected: {what}"));
        }
    }

    /// Leaves the report and fails, naming everything, if anything is wrong.
    #[track_caller]
    pub(super) fn finish(self) {
        let summary = format!(
            "{} techniques on {}, {} of which let an exposed secret through: {} brokered values \
             found in {} bytes; {} faults; seed {}.",
            self.rows.len(),
            self.kind,
            self.proven,
            self.hits,
            self.scanned,
            self.faults.len(),
            self.seed
        );
        if let Some(directory) = std::env::var_os("VM0_REDTEAM").map(PathBuf::from) {
            let mut text = format!("# Canary campaign: {}\n\n{summary}\n\n", self.kind);
            for fault in &self.faults {
                let _ = writeln!(text, "- {fault}");
            }
            text.push_str(
                "\n| technique | control came through | bytes | began |\n|---|---|---|---|\n",
            );
            let mut rows = self.rows;
            rows.sort();
            text.push_str(&rows.join("\n"));
            text.push('\n');
            let path = directory.join(format!("canary-{}.md", self.kind));
            std::fs::write(path, text).expect("VM0_REDTEAM names a directory");
        }
        eprintln!("{summary}");
        assert!(
            self.faults.is_empty(),
            "{summary}\n{}",
            self.faults.join("\n")
        );
    }
}
