//! Names to addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use async_trait::async_trait;
use vm0_model::limits;

use crate::host::Host;

/// The name of this machine as a sandbox says it.
const RUNNER_NAME: &str = "host.vm0.internal";

/// Looks names up. It is asked once for each connection; the addresses that it gives are checked
/// and connected to, so an answer that changes later changes nothing.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `name`, which is in lower-case punycode without a final dot. Need not
    /// limit its own time.
    ///
    /// # Errors
    /// If the name has no address or cannot be looked up.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0))
            .await?
            .map(|socket| socket.ip())
            .collect())
    }
}

/// The addresses of `host`, canonical and without repeats; none if it does not resolve.
pub(crate) async fn addresses(resolver: &dyn Resolver, host: &Host) -> Vec<IpAddr> {
    const PATIENCE: Duration = limits::GATEWAY_RESOLVE_TIMEOUT;
    let name = match host {
        Host::Address(address) => return vec![*address],
        Host::Domain(name) if name == RUNNER_NAME => return vec![Ipv4Addr::LOCALHOST.into()],
        Host::Domain(name) => name,
    };
    let answer = match tokio::time::timeout(PATIENCE, resolver.resolve(name)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(%name, %error, "failed to resolve");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    let mut addresses = Vec::new();
    for address in answer.into_iter().map(|address| address.to_canonical()) {
        if addresses.len() < limits::GATEWAY_ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}
