//! From the first instruction of PID 1 to the end of its channel.

use std::io;

use vm0_guest::GuestConfig;

use super::{confine, loopback, serve};

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
