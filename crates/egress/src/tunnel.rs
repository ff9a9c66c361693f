//! A connection whose bytes pass through or are decrypted: after `CONNECT`, or by SOCKS.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, BufWriter};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use vm0_model::limits::GATEWAY_BUFFER_BYTES;

use crate::forward;
use crate::gateway::Shared;
use crate::host::{Host, Target};
use crate::http_proxy::Protocol::{Http1, Http2};
use crate::http_proxy::{self, Next, Scope};
use crate::journal::{Mode, Passage, Slot};
use crate::opening::{self, Opening, OpeningError, Protocol};
use crate::policy::{Policy, Rule};
use crate::route::Refusal;
use crate::stream::{Client, Metered};
use crate::upstream::{Security, Upstream};
use crate::wire::Wire;

/// A tunnel that was allowed and whose client has yet to speak.
pub(crate) struct Tunnel {
    target: Target,
    addresses: Vec<IpAddr>,
    rule: Rule,
    /// None if the policy needs to see requests first.
    upstream: Option<Wire>,
    /// Whether TLS in it is decrypted.
    decrypt: bool,
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
                slot.denied(mode, &target, rule, None);
                return Err(TunnelRefusal::Refused(refusal));
            }
        };
        let upstream = if route.per_request {
            None
        } else {
            match shared.outside.connect(&target, &route.addresses).await {
                Ok(upstream) => Some(upstream),
                Err(error) => {
                    slot.allowed(Mode::Tcp, &target, None, route.rule);
                    return Err(TunnelRefusal::Unreachable(error));
                }
            }
        };
        Ok(Self {
            decrypt: route.per_request || shared.decrypts(&target),
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
            Protocol::Http => return self.serve_plain(shared, client).await,
            Protocol::Tls(Some(name)) if !self.agrees(name) => {
                self.deny(Mode::Sni, Some("the TLS server name differs"));
                return None;
            }
            Protocol::Tls(_) if self.decrypt => return self.serve_tls(shared, client).await,
            Protocol::Tls(_) => Mode::Sni,
            Protocol::Opaque => Mode::Tcp,
        };
        match self.upstream.take() {
            Some(upstream) => self.pass(shared, client, upstream, opening, mode).await,
            None => {
                let rule = self.rule;
                self.slot.denied(
                    mode,
                    &self.target,
                    rule,
                    Some("the rule is about HTTP requests"),
                );
            }
        }
        None
    }

    /// Serves HTTP in the clear. The requests have lines of their own.
    async fn serve_plain(self, shared: &Arc<Shared>, client: Client) -> Option<Next> {
        let outside = shared.outside.clone();
        let upstream = Upstream::new(self.target, Security::Plain, outside, self.upstream);
        drop(self.slot);
        let scope = Scope::Tunnel {
            upstream,
            addresses: self.addresses,
        };
        http_proxy::serve(Arc::clone(shared), client, scope, Http1).await
    }

    /// Accepts TLS in the name of the destination and serves the HTTP in it.
    async fn serve_tls(self, shared: &Arc<Shared>, client: Client) -> Option<Next> {
        let accepted = accept(shared, client, &self.target.host).await;
        let client = match accepted {
            Ok(client) => client,
            Err(error) => {
                tracing::debug!(%error, target = %self.target, "failed to decrypt a connection");
                self.deny(
                    Mode::Sni,
                    Some("the client does not accept the gateway's TLS"),
                );
                return None;
            }
        };
        let http2 = client.get_ref().1.alpn_protocol() == Some(b"h2");
        let (security, protocol) = if http2 {
            (Security::TlsHttp2, Http2)
        } else {
            (Security::Tls, Http1)
        };
        let outside = shared.outside.clone();
        let upstream = Upstream::new(self.target, security, outside, self.upstream);
        drop(self.slot);
        let scope = Scope::Tunnel {
            upstream,
            addresses: self.addresses,
        };
        let client = Client::new(BufWriter::with_capacity(GATEWAY_BUFFER_BYTES, client));
        http_proxy::serve(Arc::clone(shared), client, scope, protocol).await
    }

    /// Passes bytes both ways until both sides have ended or the policy forbids it.
    async fn pass(
        self,
        shared: &Shared,
        client: Client,
        mut upstream: Wire,
        opening: Opening,
        mode: Mode,
    ) {
        let Self {
            target,
            addresses,
            rule,
            slot,
            ..
        } = self;
        let peer = upstream.address();
        let address = peer.filter(|peer| addresses.contains(peer));
        slot.allowed(mode, &target, address, rule);
        let Some(slot) = shared.journal.slot().await else {
            return;
        };
        let passage = Passage::begin(slot, mode, target.clone(), address, rule);
        let mut client = Metered::new(client, Arc::clone(&passage.meter));
        let allowed = |policy: &Policy| {
            let decrypted = mode == Mode::Sni && policy.inspects();
            !decrypted && policy.allows_all(&target, address.as_slice(), None)
        };
        let passing = async {
            client.write_all(&opening.from_server).await?;
            client.flush().await?;
            forward::copy_both(&mut client, &mut upstream).await
        };
        match shared.while_allowed(allowed, passing).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::debug!(%error, %target, "failed to pass bytes"),
            None => passage.cut(),
        }
    }

    fn deny(self, mode: Mode, reason: Option<&str>) {
        self.slot.denied(mode, &self.target, Rule::Fixed, reason);
    }

    fn agrees(&self, server_name: &str) -> bool {
        let name = Host::parse(server_name);
        matches!(name, Ok(Host::Domain(_))) && name.as_ref() == Ok(&self.target.host)
    }

    fn log_broken(self, error: &OpeningError) {
        tracing::debug!(%error, target = %self.target, "failed to start a tunnel");
        match error {
            OpeningError::Hello(_) => self.deny(Mode::Sni, Some("the TLS hello cannot be read")),
            OpeningError::Io(_) if self.upstream.is_some() => {
                self.slot.allowed(Mode::Tcp, &self.target, None, self.rule);
            }
            OpeningError::Io(_) => {
                let reason = Some("nothing was sent");
                self.slot.denied(Mode::Tcp, &self.target, self.rule, reason);
            }
        }
    }
}

async fn accept(
    shared: &Shared,
    client: Client,
    host: &Host,
) -> io::Result<TlsStream<BufWriter<Client>>> {
    let client = BufWriter::with_capacity(GATEWAY_BUFFER_BYTES, client);
    let config = shared.authority.server_config(host);
    let acceptor = TlsAcceptor::from(config.map_err(io::Error::other)?);
    tokio::time::timeout(shared.header_timeout, acceptor.accept(client)).await?
}
