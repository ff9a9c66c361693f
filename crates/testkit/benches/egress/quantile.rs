//! The middle of many times.

use std::time::Duration;

pub(crate) fn p50(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
