//! What is wrong with a configuration, and where.

use std::fmt;

use crate::config::field::Field;
use crate::config::node::Position;
use crate::error::ApiError;

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dot path of the value, list positions as numbers; empty for the whole.
    pub path: String,
    /// What is wrong and what is allowed.
    pub text: String,
    /// Line in the YAML file, from 1; JSON has none.
    pub line: Option<u32>,
    /// Column in the YAML file, from 1; JSON has none.
    pub column: Option<u32>,
    order: u32,
}

impl Problem {
    pub(super) fn new(at: Position, path: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            path: path.into(),
            text: text.to_string(),
            line: at.line,
            column: at.column,
            order: at.order,
        }
    }

    /// `FILE:LINE:COLUMN: PATH: TEXT`, as compilers write it and editors read it.
    pub fn in_file(&self, file: impl fmt::Display) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}: {self}"),
            (Some(line), None) => format!("{file}:{line}: {self}"),
            _ => format!("{file}: {self}"),
        }
    }

    /// The answer of the API: `param` is the path below `config`, the message `PATH: TEXT`.
    pub fn api_error(&self) -> ApiError {
        let param = if self.path.is_empty() {
            "config".to_owned()
        } else {
            format!("config.{}", self.path)
        };
        ApiError::invalid(param, self.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Records that the value of `field` is wrong.
    pub(super) fn add(&mut self, field: &Field<'_>, text: impl fmt::Display) {
        self.push(Problem::new(field.node.at, field.path.clone(), text));
    }

    /// Records a problem.
    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// All of them in document order.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by_key(|problem| problem.order);
        self.0
    }
}
