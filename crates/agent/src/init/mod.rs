//! PID 1: what it prepares once, and what it then serves.
//!
//! It runs as root of its user namespace with the capabilities to change user and to kill, and
//! nothing that it starts keeps either. When its channel ends it ends, and the kernel kills
//! everything else in the sandbox with it.

mod confine;
mod exec;
mod loopback;
mod process;
mod proxy;
mod reaper;
mod serve;

use std::io;

use vm0_guest::GuestConfig;

/// Prepares the sandbox from inside and serves the channel until it ends.
pub(crate) fn run(config: &str) -> io::Result<()> {
    let config: GuestConfig = serde_json::from_str(config)?;
    let (input, output) = confine::take_channel()?;
    confine::confine_self(&config)?;
    if config.proxy {
        loopback::bring_up()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve::serve(config, input, output))
}
