//! Trees that were not used for long, of a cache that no process uses.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::disk::remove_all;
use super::error::TreeError;
use super::evict::remove_unused_contents;

/// Removes the trees in `root` that were last used before a time, and the contents that no tree has
/// any more. The bytes of each tree, or `None` if a process uses the cache: that one keeps it within
/// its budget by itself. Blocks.
///
/// # Errors
///
/// When the directory cannot be read or written; what is left is removed by the next.
pub fn collect(
    root: &Path,
    before: SystemTime,
    dry_run: bool,
) -> Result<Option<Vec<u64>>, TreeError> {
    let lock = match File::open(root.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
        Err(error) => return Err(error.into()),
    };
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    let mut removed = Vec::new();
    for size in fs::read_dir(root.join("sizes"))? {
        let size = size?;
        if size.metadata()?.modified()? > before {
            continue;
        }
        let text = fs::read_to_string(size.path())?;
        removed.push(text.parse().unwrap_or(0));
        if !dry_run {
            remove_tree(root, &size.path())?;
        }
    }
    if !dry_run && !removed.is_empty() {
        remove_unused_contents(&root.join("contents"))?;
    }
    Ok(Some(removed))
}

/// Removes the tree of a size file, so that no moment leaves half a tree in its place.
fn remove_tree(root: &Path, size: &Path) -> io::Result<()> {
    let Some(version) = size.file_name() else {
        return Ok(());
    };
    let (tree, doomed) = (
        root.join("trees").join(version),
        root.join("building").join(version),
    );
    match fs::rename(tree, &doomed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove_all(&doomed)?;
    remove_all(size)
}
