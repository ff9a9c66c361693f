//! No path of a developer's machine stands in the tree.

use super::tidier::SourceFile;

/// Beginnings of such paths, written so that this file does not contain them.
const HOMES: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "Users/"),
    concat!("/", "root/"),
];

pub(crate) fn check(files: &[SourceFile]) -> Vec<String> {
    files.iter().flat_map(faults_of).collect()
}

fn faults_of(file: &SourceFile) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| HOMES.iter().any(|home| names(line, home)))
        .map(|(at, _)| format!("{}:{}: a path of one machine", file.path, at + 1))
        .collect()
}

/// Whether the line has the path at the beginning of a word, not inside a longer path.
fn names(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_.-{}*".contains(c))
    })
}
