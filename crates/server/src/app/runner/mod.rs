//! What runners do: claim runs, report on them, fetch and store their objects.
//!
//! Every call about a run names the epoch of its lease; with another one nothing is written.

mod claim;
mod objects;
mod reports;

pub(crate) use objects::RunObject;
pub(crate) use reports::run_id;
