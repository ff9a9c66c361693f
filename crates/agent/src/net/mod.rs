//! The network of programs that know no proxy: an interface whose other end is here.
//!
//! ```text
//!   program ── kernel inside ── tun0 ──► stack ─┬─ UDP 53 ──► resolver ── pool: name ⇄ address
//!                                               ├─ other UDP: "unreachable"
//!                                               └─ TCP ──► flow ── SOCKS5 over the host's channel
//! ```
//!
//! A name gets an address of [`address::POOL`], which means nothing outside; a connection to it goes
//! to the host by that name. Only the host resolves names, and only for a connection that its
//! policy allows. A program learns that it is connected once the host is.
//!
//! *Invariant:* decides nothing about who may be reached. What comes from the interface is hostile:
//! connections, names and the bytes of each are bounded, and one connection that is not read blocks
//! itself alone.

mod address;
mod flow;
mod interface;
mod netlink;
mod outlet;
mod packet;
mod pool;
mod resolver;
mod segment;
mod socks;
mod stack;
#[cfg(test)]
mod stack_tests;
mod tun;

pub(crate) use interface::set_up;
pub(crate) use stack::serve;
pub(crate) use tun::{Opened, hide};
