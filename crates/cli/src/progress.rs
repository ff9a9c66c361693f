//! Progress bars on stderr, only where somebody watches.

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;

/// A bar over `total` bytes; shows nothing unless progress may be shown.
pub(crate) fn byte_bar(output: &Output, label: &str, total: u64) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total)
        .with_style(style)
        .with_message(label.to_owned())
}
