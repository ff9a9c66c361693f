//! `vm0 run` and its subcommands (CLI 4.1 and 4.2).

mod command;
mod feed;
mod given;
mod kill;
mod list;
mod network;
mod outcome;
mod show;
mod start;
mod watch;

pub(crate) use command::{RunArgs, RunOptions, execute};
pub(crate) use feed::Feed;
pub(crate) use outcome::parse_run_id;
pub(crate) use start::{Selector, run_create};
pub(crate) use watch::{Form, Watched, watch};
