//! The one way out of a sandbox.
//!
//! A sandbox has no network. Each connection that a program makes to the proxy inside reaches
//! the [`Gateway`] here as a raw byte stream, which speaks HTTP proxy or SOCKS5 on it, decides by
//! the policy of the agent, resolves the name once, connects to the address that it checked, and
//! writes a line of the network log.
//!
//! The rules are in `policy`, a pure module; `address` knows which addresses are on the internet.
//! `route` turns a destination into checked addresses, `http_proxy`, `socks` and `tunnel` are what
//! a client speaks, `journal` is the log. `broker` puts secrets into requests and takes them out
//! of answers; `body` does it to bodies while they pass. `usage` reads what a model's answers say
//! of tokens.
//!
//! TLS passes through unless requests must be read: then `tunnel` accepts it with a certificate of
//! the run's own `authority`, and `upstream` speaks TLS with the real server, in the world as
//! `outside` knows it.

mod address;
mod answer;
mod authority;
mod body;
mod broker;
mod counter;
mod crypto;
mod flight;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod hello;
mod host;
mod http_proxy;
mod interfaces;
mod journal;
mod opening;
mod outside;
mod path;
mod policy;
mod resolver;
mod route;
mod socks;
mod stream;
mod tunnel;
mod upstream;
mod usage;
mod wire;

pub use address::can_be_opened;
pub use authority::AuthorityError;
pub use broker::{BrokeredSecret, SecretError};
pub use counter::Counters;
pub use crypto::install_crypto_provider;
pub use gateway::{Gateway, GatewayConfig};
pub use outside::{Outside, OutsideError, UpstreamProxy};
pub use policy::ImpliedHost;
pub use resolver::{Resolver, SystemResolver};
pub use usage::UsageTotals;
