//! What was measured, each figure with its target, as a table and as JSON.

use serde::Serialize;

use crate::error::CommandResult;
use crate::exit::Exit;
use crate::output::Output;
use crate::table::Table;

/// One measured value.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// What a value should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    /// A value without a target.
    pub(super) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            target: None,
            met: None,
        }
    }

    /// The same value with its target.
    pub(super) fn with(mut self, target: Target) -> Self {
        self.met = Some(match target {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        });
        self.target = Some(target);
        self
    }

    fn row(&self) -> Vec<String> {
        let target = match self.target {
            Some(Target::AtLeast(least)) => format!("≥ {}", shown(least)),
            Some(Target::AtMost(most)) => format!("≤ {}", shown(most)),
            None => String::new(),
        };
        let met = self.met.map(|met| if met { "yes" } else { "no" });
        vec![
            self.what.clone(),
            shown(self.value),
            self.unit.to_owned(),
            target,
            met.unwrap_or_default().to_owned(),
        ]
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Prints the figures. A missed target is no failure: it says something of the machine too.
pub(super) fn print(output: &Output, figures: &[Figure]) -> CommandResult {
    if output.is_json() {
        output.json_list(figures)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["WHAT", "VALUE", "UNIT", "TARGET", "MET"]);
    for figure in figures {
        table.row(figure.row());
    }
    table.print(output)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_it_meets_its_target() {
        let met = |target| Figure::new("x", 1.3, "").with(target).met;
        assert_eq!(met(Target::AtMost(1.3)), Some(true));
        assert_eq!(met(Target::AtMost(1.2)), Some(false));
        assert_eq!(met(Target::AtLeast(1.4)), Some(false));
        assert_eq!(
            Figure::new("x", 12_345.6, "/s").row(),
            ["x", "12346", "/s", "", ""]
        );
    }
}
