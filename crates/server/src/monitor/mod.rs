//! What an operator watches (API 13): counts, durations and levels in the Prometheus text format.

mod decision;
mod meters;
mod process;

pub(crate) use decision::NetworkDecision;
pub(crate) use meters::{Levels, Meters, Watching};
