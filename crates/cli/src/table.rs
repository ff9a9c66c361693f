//! Tables with upper-case headings.

use std::io::{self, IsTerminal};

use crate::events::{cut, escape, terminal_width};
use crate::output::Output;

/// Characters of a prompt in a table.
const PROMPT_CHARS: usize = 40;

/// Rows of text below headings.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|&text| text.to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it; on a terminal its lines end where those of the terminal do.
    pub(crate) fn print(&self, output: &Output) -> io::Result<()> {
        let width = io::stdout().is_terminal().then(terminal_width);
        self.render().iter().try_for_each(|line| match width {
            Some(width) => output.line(&cut(line, width)),
            None => output.line(line),
        })
    }

    /// Its lines: each column as wide as its widest cell, two spaces between.
    pub(crate) fn render(&self) -> Vec<String> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or_default())
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// The beginning of a prompt, on one line.
pub(crate) fn excerpt(prompt: &str) -> String {
    let line = escape(prompt).replace(['\n', '\t'], " ");
    let mut start: String = line.chars().take(PROMPT_CHARS).collect();
    if line.chars().count() > PROMPT_CHARS {
        start.pop();
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.row(vec!["long-name".into(), "1 B".into()]);
        assert_eq!(table.render(), ["NAME       SIZE", "long-name  1 B"]);
    }
}
