//! `vm0 logs` (CLI 4.5).

mod command;
mod entries;
mod follow;
mod lines;
mod metrics;

pub(crate) use command::{LogsArgs, LogsOptions, execute, show};
