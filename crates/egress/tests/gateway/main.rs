//! The gateway from both of its sides: a client in a sandbox and servers on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod held;
mod http;
mod policy;
mod secrets;
mod support;
mod tls;
mod tls_support;
mod tunnel;
mod usage;
mod websocket;
