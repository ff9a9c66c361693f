//! What an operator watches (API 13): counts, durations and levels in the Prometheus text format.

mod meters;
mod process;

pub(crate) use meters::{Levels, Meters, Watching};
