//! A connection whose bytes pass through: after `CONNECT`, or by SOCKS.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::gateway::Shared;
use crate::host::{Host, Target};
use crate::http_proxy::{self, Next, Scope};
use crate::journal::{Mode, Slot};
use crate::opening::{self, Opening, OpeningError, Protocol};
use crate::policy::Rule;
use crate::route::{self, Refusal};
use crate::stream::Client;

/// A tunnel that was allowed and whose client has yet to speak.
pub(crate) struct Tunnel {
    target: Target,
    addresses: Vec<IpAddr>,
    rule: Rule,
    /// None if the policy needs to see requests first.
    upstream: Option<TcpStream>,
    slot: Slot,
}

/// Why there is no tunnel. The log has it already.
#[derive(Debug)]
pub(crate) enum TunnelRefusal {
    Refused(Refusal),
    Unreachable(io::Error),
}

impl Tunnel {
    /// Decides about `target` and connects to it.
    pub(crate) async fn open(
        shared: &Shared,
        target: Target,
        slot: Slot,
    ) -> Result<Self, TunnelRefusal> {
        let admitted = match shared.resolve(&target, None).await {
            Ok(addresses) => shared.admit(&target, &addresses, None),
            Err(refusal) => Err(refusal),
        };
        let route = match admitted {
            Ok(route) => route,
            Err(refusal) => {
                let (mode, rule) = match refusal {
                    Refusal::Denied { rule, mode } => (mode, rule),
                    Refusal::Unresolved => (Mode::Dns, Rule::Fixed),
                };
                slot.connection(mode, false, &target, rule);
                return Err(TunnelRefusal::Refused(refusal));
            }
        };
        let upstream = if route.per_request {
            None
        } else {
            match route::connect(&route.addresses, target.port).await {
                Ok(upstream) => Some(upstream),
                Err(error) => {
                    slot.connection(Mode::Tcp, true, &target, route.rule);
                    return Err(TunnelRefusal::Unreachable(error));
                }
            }
        };
        Ok(Self {
            target,
            addresses: route.addresses,
            rule: route.rule,
            upstream,
            slot,
        })
    }

    /// Passes bytes both ways until both sides have ended. Returns what the client became if it
    /// turned out to speak HTTP.
    pub(crate) async fn run(mut self, shared: &Arc<Shared>, mut client: Client) -> Option<Next> {
        let opening = opening::read(&mut client, self.upstream.as_mut(), shared.header_timeout);
        let opening = match opening.await {
            Ok(opening) => opening,
            Err(error) => {
                self.log_broken(&error);
                return None;
            }
        };
        client.unread(opening.from_client.clone());
        let mode = match &opening.protocol {
            Protocol::Http => {
                // The requests have lines of their own and open their own connections.
                let Self {
                    target,
                    addresses,
                    upstream,
                    slot,
                    ..
                } = self;
                drop((upstream, slot));
                let scope = Scope::Tunnel { target, addresses };
                return http_proxy::serve(Arc::clone(shared), client, scope).await;
            }
            Protocol::Tls(Some(name)) if !self.agrees(name) => {
                self.slot
                    .connection(Mode::Sni, false, &self.target, Rule::Fixed);
                return None;
            }
            Protocol::Tls(_) => Mode::Sni,
            Protocol::Opaque => Mode::Tcp,
        };
        self.slot
            .connection(mode, self.upstream.is_some(), &self.target, self.rule);
        if let Some(upstream) = self.upstream
            && let Err(error) = pass(client, upstream, opening).await
        {
            tracing::debug!(%error, target = %self.target, "failed to pass bytes");
        }
        None
    }

    fn agrees(&self, server_name: &str) -> bool {
        let name = Host::parse(server_name);
        matches!(name, Ok(Host::Domain(_))) && name.as_ref() == Ok(&self.target.host)
    }

    fn log_broken(self, error: &OpeningError) {
        match error {
            OpeningError::Hello(_) => {
                self.slot
                    .connection(Mode::Sni, false, &self.target, Rule::Fixed);
            }
            OpeningError::Io(_) => {
                self.slot
                    .connection(Mode::Tcp, self.upstream.is_some(), &self.target, self.rule);
            }
        }
        tracing::debug!(%error, target = %self.target, "failed to start a tunnel");
    }
}

async fn pass(mut client: Client, mut upstream: TcpStream, opening: Opening) -> io::Result<()> {
    client.write_all(&opening.from_server).await?;
    client.flush().await?;
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
