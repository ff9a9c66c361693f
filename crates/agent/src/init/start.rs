//! From the first instruction of PID 1 to the end of its channel.

use std::io;

use vm0_guest::{GuestConfig, Transparent};

use super::serve::Network;
use super::{confine, loopback, serve};
use crate::net;

/// Prepares the sandbox from inside and serves the channel until it ends.
pub(crate) fn run(config: &str) -> io::Result<()> {
    let config: GuestConfig = serde_json::from_str(config)?;
    let (input, output) = confine::take_channel()?;
    confine::confine_self(&config)?;
    if config.proxy {
        loopback::bring_up()?;
    }
    let network = network(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve::serve(network, input, output))
}

/// Makes what programs reach the host by; afterwards nobody inside can change it.
fn network(config: &GuestConfig) -> io::Result<Network> {
    let (device, transparent) = if config.transparent {
        match net::set_up() {
            Ok(device) => (Some(device), Transparent::On),
            Err(error) => (None, Transparent::Failed(error.to_string())),
        }
    } else {
        (None, Transparent::Off)
    };
    net::hide();
    confine::drop_network_administration()?;
    Ok(Network {
        proxy: config.proxy,
        device,
        transparent,
    })
}
