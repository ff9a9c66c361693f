//! Kept archives of versions that are gone.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use vm0_model::ManifestId;

use super::disk::FORMAT;

/// Removes from `root` the archives of manifests that `is_named` does not know and that were last
/// used before a time; the bytes of each. A server that uses the directory finds one gone as if it
/// had never been kept, and a download that reads it goes on. Blocks.
///
/// # Errors
///
/// When the directory cannot be read or an archive cannot be removed.
pub fn collect(
    root: &Path,
    is_named: impl Fn(ManifestId) -> bool,
    before: SystemTime,
    dry_run: bool,
) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(root.join(FORMAT)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if id.is_some_and(&is_named) || metadata.modified()? > before {
            continue;
        }
        removed.push(metadata.len());
        if !dry_run {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(removed)
}
