//! What model requests consumed, read from the answers of the model's API as they pass.
//!
//! `json` finds the numbers in a JSON text of any size without keeping it, `events` takes the
//! framing of server-sent events off, `reader` knows the four APIs, and `counter` adds up what
//! the requests of a run consumed.

mod counter;
mod events;
mod hosts;
mod json;
mod reader;
#[cfg(test)]
mod tests;

pub use counter::UsageTotals;
pub(crate) use counter::{AnswerUsage, UsageCounter};
pub(crate) use hosts::ModelHosts;
#[cfg(fuzzing)]
pub(crate) use reader::UsageReader;
