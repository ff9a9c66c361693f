//! `vm0 bench`: how fast this machine starts agents, beside what its runtimes take by themselves.

mod command;
mod private_server;
mod quantiles;
mod raw;
mod report;
mod runs;
mod volume;

pub(crate) use command::{BenchCommand, execute};
