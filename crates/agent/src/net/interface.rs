//! Makes the interface and points the programs inside to it.

use std::fs;
use std::io;

use nix::net::if_::if_nametoindex;

use super::address::{OWN, PREFIX, RESOLVER};
use super::netlink::Netlink;
use super::outlet::MTU;
use super::tun::Opened;

const NAME: &str = "tun0";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Makes the interface and the way to it. Needs the capability to administer the network.
pub(crate) fn set_up() -> io::Result<Opened> {
    let device = Opened::new(NAME).map_err(named("open the device /dev/net/tun"))?;
    let index = if_nametoindex(NAME)?;
    let netlink = Netlink::open()?;
    let mtu = u32::try_from(MTU).expect("a packet's length is 16 bits");
    netlink
        .add_address(index, OWN, PREFIX)
        .map_err(named("give the interface an address"))?;
    netlink
        .set_up(index, mtu)
        .map_err(named("set the interface up"))?;
    netlink
        .add_default_route(index, RESOLVER)
        .map_err(named("make the default route"))?;
    let text = format!("nameserver {RESOLVER}\noptions timeout:2 attempts:2\n");
    fs::write(RESOLV_CONF, text).map_err(named("write /etc/resolv.conf"))?;
    Ok(device)
}

fn named(action: &'static str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{action}: {error}"))
}
