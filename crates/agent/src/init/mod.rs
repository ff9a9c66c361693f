//! PID 1: what it prepares once, and what it then serves.
//!
//! It runs as root of its user namespace with the capabilities to change user and to kill, and
//! nothing that it starts keeps either. When its channel ends it ends, and the kernel kills
//! everything else in the sandbox with it.

mod confine;
mod exec;
mod filter;
mod loopback;
mod process;
mod proxy;
mod reaper;
mod serve;
mod start;
mod terminal;

pub(crate) use start::run;
