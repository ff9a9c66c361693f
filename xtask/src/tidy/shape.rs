//! The shape of source files: `mod.rs` and `lib.rs` are tables of contents, no file outgrows its
//! noun.

use super::tidier::SourceFile;

/// Production lines of one file.
const MAX_LINES: usize = 800;

const LOGIC: &[&str] = &[
    "fn ",
    "pub fn ",
    "pub(crate) fn ",
    "async fn ",
    "pub async fn ",
    "impl ",
    "impl<",
    "struct ",
    "pub struct ",
    "enum ",
    "pub enum ",
    "trait ",
    "pub trait ",
    "static ",
    "pub static ",
    "macro_rules!",
];

pub(crate) fn check(files: &[SourceFile]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    rust.flat_map(|file| {
        let mut faults = Vec::new();
        if is_table(&file.path) {
            faults.extend(logic_in_table(file));
        }
        let lines = production_lines(&file.text);
        if lines > MAX_LINES && !is_test(&file.path) {
            faults.push(format!(
                "{}: {lines} lines; which noun is missing?",
                file.path
            ));
        }
        faults
    })
    .collect()
}

fn is_table(path: &str) -> bool {
    !is_test(path) && (path.ends_with("/mod.rs") || path.ends_with("/lib.rs"))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/testkit/")
}

fn logic_in_table(file: &SourceFile) -> Option<String> {
    let line = file
        .text
        .lines()
        .position(|line| LOGIC.iter().any(|start| line.starts_with(start)));
    line.map(|at| format!("{}:{}: logic in a table of contents", file.path, at + 1))
}

fn production_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}
