//! `vm0 cook` (CLI 4.4): from a directory with `vm0.yaml` to a result, and on from there.

mod command;
mod inputs;
mod record;
mod run;
mod step;

pub(crate) use command::{CookArgs, execute};
