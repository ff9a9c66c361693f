//! The gateway of one run.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};
use vm0_model::event::LogEntry;
use vm0_model::limits;
use vm0_model::network::{NetworkPolicy, PrivateAllowance};

use crate::authority::{Authority, AuthorityError};
use crate::broker::{Broker, BrokeredSecret};
use crate::counter::{Counters, Meter};
use crate::forward;
use crate::host::Target;
use crate::http_proxy::{self, Next, Protocol, Scope};
use crate::journal::Journal;
use crate::outside::Outside;
use crate::policy::{ImpliedHost, Policy};
use crate::resolver::Resolver;
use crate::route::Refusal;
use crate::socks::{self, Reply};
use crate::stream::{Client, Metered};
use crate::tunnel::{Tunnel, TunnelRefusal};
use crate::usage::{ModelHosts, UsageCounter, UsageTotals};

/// What a run may reach.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The policy of the agent.
    pub policy: NetworkPolicy,
    /// Hosts that are allowed without a rule.
    pub implied: Vec<ImpliedHost>,
    /// What the operator opened.
    pub allow_private: Vec<PrivateAllowance>,
    /// What is put into requests.
    pub secrets: Vec<BrokeredSecret>,
    /// Hosts that get the agent's transcript, in whose bodies placeholders pass.
    pub transcript_hosts: Vec<ImpliedHost>,
    /// Whose answers say what the run consumes. That makes nothing allowed.
    pub model_hosts: Vec<ImpliedHost>,
    /// Whether TLS to them is decrypted in any case, because what the run consumes is limited.
    pub decrypt_models: bool,
    /// The way from here on.
    pub outside: Outside,
}

/// The one way out of one sandbox. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

/// What the connections of a run share.
pub(crate) struct Shared {
    policy: watch::Sender<Arc<Policy>>,
    implied: Vec<ImpliedHost>,
    allow_private: Vec<PrivateAllowance>,
    pub(crate) authority: Authority,
    pub(crate) outside: Outside,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) journal: Journal,
    /// For the head of a request, and for a greeting that has begun.
    pub(crate) header_timeout: Duration,
    meter: Arc<Meter>,
    model_hosts: ModelHosts,
    decrypt_models: bool,
    usage: UsageCounter,
    connections: Semaphore,
}

impl Gateway {
    /// A gateway that writes the network log to `log`. Each connection holds room for its line
    /// there while it lasts, so no more connections are served at a time than `log` has room for;
    /// give it at least [`limits::CONNECTIONS_MAX_PER_RUN`].
    ///
    /// # Errors
    /// If the certificate authority of the run cannot be made.
    pub fn new(
        config: GatewayConfig,
        resolver: Arc<dyn Resolver>,
        log: mpsc::Sender<LogEntry>,
    ) -> Result<Self, AuthorityError> {
        Self::with_header_timeout(config, resolver, log, limits::REQUEST_READ_TIMEOUT)
    }

    fn with_header_timeout(
        config: GatewayConfig,
        resolver: Arc<dyn Resolver>,
        log: mpsc::Sender<LogEntry>,
        header_timeout: Duration,
    ) -> Result<Self, AuthorityError> {
        let authority = Authority::new()?;
        let connections = limits::CONNECTIONS_MAX_PER_RUN.min(log.max_capacity());
        let shared = Shared {
            policy: watch::Sender::new(Arc::new(Policy::new(
                config.policy,
                config.implied.clone(),
                config.allow_private.clone(),
            ))),
            authority,
            outside: config.outside,
            implied: config.implied,
            allow_private: config.allow_private,
            resolver,
            broker: Arc::new(Broker::new(config.secrets, config.transcript_hosts)),
            journal: Journal::new(log),
            header_timeout,
            meter: Arc::default(),
            model_hosts: ModelHosts::new(config.model_hosts),
            decrypt_models: config.decrypt_models,
            usage: UsageCounter::default(),
            connections: Semaphore::new(connections),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Serves one connection out of the sandbox until its end. Dropping the future ends it. A
    /// connection over the limit is closed at once.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_permit) = self.shared.connections.try_acquire() else {
            tracing::warn!("closed a connection over the limit of the run");
            return;
        };
        let client = Client::new(Metered::new(stream, Arc::clone(&self.shared.meter)));
        if let Err(error) = self.shared.serve(client).await {
            tracing::debug!(%error, "failed to serve a connection");
        }
    }

    /// Replaces what the agent may reach, at once for every decision from here on; connections
    /// that the new policy forbids are cut.
    pub fn set_policy(&self, network: NetworkPolicy) {
        let shared = &self.shared;
        let policy = Policy::new(
            network,
            shared.implied.clone(),
            shared.allow_private.clone(),
        );
        shared.policy.send_replace(Arc::new(policy));
    }

    /// The certificate of the authority that the gateway decrypts TLS with, in PEM: what the
    /// programs inside must trust.
    pub fn certificate(&self) -> String {
        self.shared.authority.pem()
    }

    /// Whether it decrypts TLS to some host, as things stand.
    pub fn decrypts(&self) -> bool {
        let shared = &self.shared;
        shared.policy().decrypts_any() || shared.broker.binds_any() || shared.decrypt_models
    }

    /// What the sandbox received and sent so far.
    pub fn counters(&self) -> Counters {
        self.shared.meter.read()
    }

    /// What its model requests consumed, now and whenever that changes.
    pub fn usage(&self) -> watch::Receiver<UsageTotals> {
        self.shared.usage.subscribe()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &self.shared.policy())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// What the agent may reach now.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Whether TLS to `target` is decrypted whatever the rules say: all of it is, a secret goes
    /// there, or a limited model is there.
    pub(crate) fn decrypts(&self, target: &Target) -> bool {
        self.policy().inspects()
            || self.broker.binds(target)
            || (self.decrypt_models && self.model_hosts.contain(target))
    }

    /// Does `work` to its end, unless the policy is not one that makes `allowed` true, or becomes
    /// one.
    pub(crate) async fn while_allowed<T>(
        &self,
        allowed: impl Fn(&Policy) -> bool,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut policies = self.policy.subscribe();
        let mut work = pin!(work);
        loop {
            let policy = Arc::clone(&policies.borrow_and_update());
            if !allowed(&policy) {
                return None;
            }
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                // The sender lives as long as `self`.
                _ = policies.changed() => {}
            }
        }
    }

    /// Where the answers of `target` are counted, if it is a model.
    pub(crate) fn usage_of(&self, target: &Target) -> Option<UsageCounter> {
        self.model_hosts.contain(target).then(|| self.usage.clone())
    }

    async fn serve(self: &Arc<Self>, mut client: Client) -> io::Result<()> {
        let first = tokio::time::timeout(self.header_timeout, client.read_u8()).await??;
        client.unread(Bytes::copy_from_slice(&[first]));
        let mut next = if first == socks::VERSION {
            self.serve_socks(client).await?
        } else {
            http_proxy::serve(Arc::clone(self), client, Scope::Proxy, Protocol::Http1).await
        };
        while let Some(now) = next {
            next = match now {
                Next::Relay(switched) => {
                    forward::relay(self, *switched).await?;
                    None
                }
                Next::Tunnel(client, tunnel) => {
                    let client = client.await.map_err(io::Error::other)?;
                    tunnel.run(self, Client::new(TokioIo::new(client))).await
                }
            };
        }
        Ok(())
    }

    async fn serve_socks(self: &Arc<Self>, mut client: Client) -> io::Result<Option<Next>> {
        let target = socks::accept(&mut client, self.header_timeout)
            .await
            .map_err(io::Error::other)?;
        let Some(slot) = self.journal.slot().await else {
            return socks::reply(&mut client, Reply::GeneralFailure)
                .await
                .map(|()| None);
        };
        match Tunnel::open(self, target, slot).await {
            Ok(tunnel) => {
                socks::reply(&mut client, Reply::Succeeded).await?;
                Ok(tunnel.run(self, client).await)
            }
            Err(refusal) => {
                socks::reply(&mut client, reply_to(&refusal)).await?;
                Ok(None)
            }
        }
    }
}

fn reply_to(refusal: &TunnelRefusal) -> Reply {
    match refusal {
        TunnelRefusal::Refused(Refusal::Denied { .. }) => Reply::NotAllowed,
        TunnelRefusal::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Reply::ConnectionRefused
        }
        TunnelRefusal::Refused(Refusal::Unresolved) | TunnelRefusal::Unreachable(_) => {
            Reply::HostUnreachable
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::resolver::SystemResolver;

    fn impatient() -> (Gateway, mpsc::Receiver<LogEntry>) {
        let (log, entries) = mpsc::channel(8);
        let config = GatewayConfig {
            policy: NetworkPolicy::default(),
            implied: Vec::new(),
            allow_private: Vec::new(),
            secrets: Vec::new(),
            transcript_hosts: Vec::new(),
            model_hosts: Vec::new(),
            decrypt_models: false,
            outside: Outside::untrusting().unwrap(),
        };
        let patience = Duration::from_millis(50);
        let resolver = Arc::new(SystemResolver);
        (
            Gateway::with_header_timeout(config, resolver, log, patience).unwrap(),
            entries,
        )
    }

    #[tokio::test]
    async fn half_a_greeting_is_given_up() {
        let (gateway, _entries) = impatient();
        for sent in [
            &b""[..],
            b"\x05",
            b"\x05\x01\0\x05\x01",
            b"GET http://a.ex",
            b"CONNECT a:1 HTTP/1.1\r\nA",
        ] {
            let (mut near, far) = duplex(1024);
            near.write_all(sent).await.unwrap();
            let served = tokio::time::timeout(Duration::from_secs(5), gateway.serve(far));
            served.await.expect("the gateway waits for ever");
        }
    }

    #[tokio::test]
    async fn connections_over_the_limit_are_closed() {
        let (gateway, _entries) = impatient();
        let permits = gateway.shared.connections.try_acquire_many(8).unwrap();
        let (mut near, far) = duplex(1024);
        gateway.serve(far).await;
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        drop(permits);
    }
}
