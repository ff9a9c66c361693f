//! What was measured, beside what is to be reached.

use std::process::ExitCode;

/// What a figure must reach.
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Default)]
pub(crate) struct Report {
    missed: usize,
}

impl Report {
    pub(crate) fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    pub(crate) fn row(&mut self, what: &str, value: f64, unit: &str, bound: Bound) {
        let (met, aim) = match bound {
            Bound::AtMost(limit) => (value <= limit, format!("≤ {limit}")),
            Bound::AtLeast(limit) => (value >= limit, format!("≥ {limit}")),
        };
        self.missed += usize::from(!met);
        let verdict = if met { "met" } else { "MISSED" };
        println!("{what:<52} {value:>9.2} {unit:<7} {aim:<8} {verdict}");
    }

    /// Whether every figure reached its aim.
    pub(crate) fn finish(self) -> ExitCode {
        if self.missed == 0 {
            return ExitCode::SUCCESS;
        }
        println!("{} missed", self.missed);
        ExitCode::FAILURE
    }
}
