//! What a runner keeps and does not need.
//!
//! The directories of runs are none of it: they may hold what the server does not have yet, and the
//! runner's next start sends that and removes them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use vm0_blob::TreeError;
use vm0_sandbox::image::ImageError;

use crate::images;

/// What was removed of one kind, or would be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage {
    /// What it is, in the singular.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why nothing, or not everything, could be removed.
#[derive(Debug, thiserror::Error)]
pub enum GarbageError {
    /// The image store failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The cache of version trees failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Removes from `state_dir` what was not used for `grace`: trees of versions, unless the runner is
/// running and sees to them itself, layers that no image has, and what interrupted image commands
/// left. Blocks.
///
/// # Errors
///
/// When something cannot be read or removed; the next collection goes on there.
pub fn collect(
    state_dir: &Path,
    grace: Duration,
    dry_run: bool,
) -> Result<Vec<Garbage>, GarbageError> {
    if !state_dir.is_dir() {
        return Ok(Vec::new());
    }
    let before = SystemTime::now() - grace;
    let trees = vm0_blob::tree_collect(&trees_dir(state_dir), before, dry_run)?;
    let images = images::open(state_dir)?.collect(before, dry_run)?;
    let kind = |kind: &'static str, sizes: &[u64]| Garbage {
        kind,
        count: sizes.len() as u64,
        bytes: sizes.iter().sum(),
    };
    Ok(vec![
        kind("cached version", &trees.unwrap_or_default()),
        kind("image layer", &images.layers),
        kind("interrupted image command", &images.works),
    ])
}

/// Where the trees of versions are.
pub(crate) fn trees_dir(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("trees")
}
