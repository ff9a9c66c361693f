//! The built-in agent without a model: runs its prompt as a shell script and tells what happens as
//! events, one JSON object a line, in the form that model-driven agents use.
//!
//! ```text
//!   prompt ─► init, two assistant messages ─► script ─► output per line … ─► tool result, result
//! ```

mod event;
mod history;
mod leftovers;
mod output;
mod run;
mod script;
mod time;

pub(crate) use run::run;
use script::Source;
