//! Where text goes (CLI 1.4): results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How this command talks.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    color: bool,
    color_errors: bool,
}

/// A colour of the terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Color {
    /// Failures.
    Red = 31,
    /// Success.
    Green = 32,
    /// Warnings.
    Yellow = 33,
    /// Labels.
    Cyan = 36,
}

impl Output {
    /// Settings of the global options and of the terminal.
    pub(crate) fn new(json: bool, quiet: bool, no_color: bool) -> Self {
        let wanted = !no_color
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            json,
            quiet,
            color: wanted && !json && io::stdout().is_terminal(),
            color_errors: wanted && !json && io::stderr().is_terminal(),
        }
    }

    /// Whether one JSON document is the result.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether notes and next steps are left out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether progress may be shown.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }

    /// Whether a question can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Text in a colour, for stdout.
    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        paint(self.color, color, text)
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// `✓ text`.
    pub(crate) fn success(&self, text: &str) -> io::Result<()> {
        self.line(&format!("{} {text}", self.paint(Color::Green, "✓")))
    }

    /// `  label  value`, the values of a block below each other.
    pub(crate) fn detail(&self, label: &str, value: impl std::fmt::Display) -> io::Result<()> {
        self.line(&detail(label, value))
    }

    /// The one document of `--json`.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// A list of `--json`.
    pub(crate) fn json_list<T: Serialize>(&self, items: &[T]) -> io::Result<()> {
        self.json(&serde_json::json!({ "data": items }))
    }

    /// A remark that `--quiet` leaves out.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.error_line(text);
        }
    }

    /// `! text` on stderr.
    pub(crate) fn warn(&self, text: &str) {
        let sign = paint(self.color_errors, Color::Yellow, "!");
        self.error_line(&format!("{sign} {text}"));
    }

    /// `✗ text` on stderr, with indented lines below.
    pub(crate) fn error(&self, text: &str, below: &[String]) {
        let sign = paint(self.color_errors, Color::Red, "✗");
        self.error_line(&format!("{sign} {text}"));
        for line in below.iter().flat_map(|text| text.lines()) {
            self.error_line(&format!("  {line}"));
        }
    }

    /// A line on stderr. A closed stderr is no reason to stop.
    pub(crate) fn error_line(&self, text: &str) {
        let _closed = writeln!(io::stderr().lock(), "{text}");
    }

    /// Asks on stderr; only `y` or `yes` is a yes.
    pub(crate) fn confirm(&self, question: &str) -> io::Result<bool> {
        write!(io::stderr(), "{question} [y/N] ")?;
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }
}

/// `  Label:       value`; the labels of blocks are at most 11 characters with their colon.
pub(crate) fn detail(label: &str, value: impl std::fmt::Display) -> String {
    format!("  {:<13}{value}", format!("{label}:"))
}

fn paint(on: bool, color: Color, text: &str) -> String {
    if on {
        format!("\x1b[{}m{text}\x1b[0m", color as u8)
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_stand_below_each_other() {
        assert_eq!(detail("Run ID", "x"), "  Run ID:      x");
        assert_eq!(detail("Checkpoint", "x"), "  Checkpoint:  x");
    }

    #[test]
    fn json_has_no_colour() {
        let output = Output::new(true, false, false);
        assert_eq!(output.paint(Color::Red, "x"), "x");
    }
}
