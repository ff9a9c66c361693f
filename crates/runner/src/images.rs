//! The image store of a runner, for those who fill it.

mod pull;

use std::path::Path;

pub use pull::{PullError, PullWatch, Pulled, pull};
pub use vm0_sandbox::image::{Image, ImageError, ImageName, ImageStore};

/// The image store of the runner whose state is in `state_dir`, made if it is not there.
///
/// # Errors
/// If the directory cannot be made.
pub fn open(state_dir: &Path) -> Result<ImageStore, ImageError> {
    ImageStore::open(&state_dir.join("images"))
}
