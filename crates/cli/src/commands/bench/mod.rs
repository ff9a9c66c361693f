//! `vm0 bench`: how fast this machine does what matters, each figure beside a raw floor or a rival
//! of the same run.

mod api;
mod cli;
mod command;
mod cores;
mod events;
mod figure;
mod fixture;
mod floor;
mod lists;
mod load;
mod private_server;
mod quantiles;
mod raw;
mod report;
mod rivals;
mod runs;
mod start;
mod storage;
mod transfer;
mod volume;
mod watcher;

pub(crate) use command::{BenchCommand, execute};
