//! Files of `NAME=VALUE` lines (CLI 1.7).

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Failure;

/// A line that is not of the form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: write NAME=VALUE, # for a comment")]
pub(crate) struct EnvFileError {
    line: usize,
}

/// Reads the file; a missing or malformed one is wrong use.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("Cannot read {}: {error}", path.display())))?;
    parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, EnvFileError> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = EnvFileError { line: index + 1 };
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').ok_or_else(|| error.clone())?;
        let name = name.trim_end();
        if !vm0_model::name::is_variable_name(name) {
            return Err(error);
        }
        values.insert(name.to_owned(), unquote(value.trim()).ok_or(error)?);
    }
    Ok(values)
}

/// The value between its quotes; without quotes, up to a comment.
fn unquote(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        let (inner, after) = rest.split_once('\'')?;
        return ends(after).then(|| inner.to_owned());
    }
    if let Some(rest) = value.strip_prefix('"') {
        return double_quoted(rest);
    }
    let end = value.find(" #").unwrap_or(value.len());
    Some(value[..end].trim_end().to_owned())
}

fn double_quoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return ends(chars.as_str()).then_some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                quoted @ ('"' | '\\') => value.push(quoted),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
}

fn ends(after: &str) -> bool {
    let after = after.trim();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_comments_and_quotes_are_read() {
        let text =
            "# c\nA=1\nexport B = two words # c\nC='a # b'\nD=\"x\\ny \\\"q\\\" \\\\\" # c\nE=\n";
        let values = parse(text).unwrap();
        let pairs: Vec<_> = values
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "a # b"),
                ("D", "x\ny \"q\" \\"),
                ("E", "")
            ]
        );
    }

    #[test]
    fn a_malformed_line_is_named() {
        for text in [
            "A=1\nnonsense",
            "A=1\n1B=2",
            "A=1\nB=\"open",
            "A=1\nB='x' y",
        ] {
            assert_eq!(parse(text), Err(EnvFileError { line: 2 }), "{text}");
        }
    }
}
