//! The gateway from both of its sides: a client in a sandbox and servers on loopback.

mod http;
mod support;
mod tunnel;
