//! Runs every rule over the tracked files and prints what breaks one.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::{edges, errors, paths, shape};

/// A tracked text file.
pub(crate) struct SourceFile {
    /// Path below the root of the repository.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// Runs all rules; the exit code says whether all hold.
pub(crate) fn run() -> ExitCode {
    let root = root();
    let files = tracked_files(&root);
    let mut faults = edges::check(&root);
    faults.extend(shape::check(&files));
    faults.extend(errors::check(&root));
    faults.extend(paths::check(&files));
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() {
        println!("tidy: {} files, no fault", files.len());
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is below the root")
        .to_owned()
}

fn tracked_files(root: &Path) -> Vec<SourceFile> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .expect("git lists the files of a checkout");
    let listing = String::from_utf8(output.stdout).expect("paths of the repository are UTF-8");
    listing
        .split_terminator('\0')
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(SourceFile {
                path: path.to_owned(),
                text,
            })
        })
        .collect()
}
