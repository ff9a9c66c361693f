//! The HTTP side: `CONNECT`, absolute-form requests, and the requests inside a tunnel that turned
//! out to be HTTP.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HOST;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use vm0_model::limits;

use crate::answer::{self, Body};
use crate::broker::ApplyError;
use crate::flight::Flights;
use crate::forward::{self, ForwardError, OutgoingError, Switched};
use crate::gateway::Shared;
use crate::host::Target;
use crate::journal::{Exchange, Slot};
use crate::policy::{Policy, RequestView, Rule};
use crate::route::{Refusal, Route};
use crate::stream::Client;
use crate::tunnel::{Tunnel, TunnelRefusal};
use crate::upstream::{Security, Upstream, UpstreamError};

/// What the requests of a connection may be for.
pub(crate) enum Scope {
    /// Whatever they name, and `CONNECT`.
    Proxy,
    /// The destination of the tunnel that they are in, at the addresses resolved for it.
    Tunnel {
        upstream: Arc<Upstream>,
        addresses: Vec<IpAddr>,
    },
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What a connection became after its last request.
pub(crate) enum Next {
    Tunnel(OnUpgrade, Box<Tunnel>),
    Relay(Box<Switched>),
}

struct Connection {
    shared: Arc<Shared>,
    scope: Scope,
    /// Where the last request outside a tunnel went.
    plain: Mutex<Option<Arc<Upstream>>>,
    flights: Flights,
    next: Mutex<Option<Next>>,
}

/// Serves requests until the client leaves, the connection becomes something else, or the policy
/// changes so that it forbids what is under way.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    client: Client,
    scope: Scope,
    protocol: Protocol,
) -> Option<Next> {
    let connection = Arc::new(Connection {
        shared: Arc::clone(&shared),
        scope,
        plain: Mutex::default(),
        flights: Flights::default(),
        next: Mutex::new(None),
    });
    let allowed = |policy: &Policy| connection.flights.allowed_by(policy);
    let served = shared.while_allowed(allowed, async {
        match protocol {
            Protocol::Http1 => serve_http1(&connection, client).await,
            Protocol::Http2 => serve_http2(&connection, client).await,
        }
    });
    if let Some(Err(error)) = served.await {
        tracing::debug!(%error, "failed to serve a proxy connection");
    }
    connection
        .next
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}

async fn serve_http1(connection: &Arc<Connection>, client: Client) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(connection.shared.header_timeout)
        .max_buf_size(limits::GATEWAY_HEAD_MAX_BYTES)
        .preserve_header_case(true)
        // In TLS the end of what a client says is the end of the client. In clear it may only have
        // said all that it has to say.
        .half_close(!connection.is_tls())
        .serve_connection(TokioIo::new(client), service(connection))
        .with_upgrades()
        .await
}

async fn serve_http2(connection: &Arc<Connection>, client: Client) -> hyper::Result<()> {
    let head_max = u32::try_from(limits::GATEWAY_HEAD_MAX_BYTES).unwrap_or(u32::MAX);
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::GATEWAY_HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(limits::GATEWAY_HTTP2_WINDOW_BYTES)
        .max_concurrent_streams(limits::GATEWAY_HTTP2_STREAMS_MAX)
        .max_header_list_size(head_max)
        .serve_connection(TokioIo::new(client), service(connection))
        .await
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn service(
    connection: &Arc<Connection>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future = Answering>
+ use<> {
    let connection = Arc::clone(connection);
    service_fn(move |request| {
        let connection = Arc::clone(&connection);
        let answering: Answering =
            Box::pin(async move { Ok::<_, Infallible>(connection.handle(request).await) });
        answering
    })
}

impl Connection {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(slot) = self.shared.journal.slot().await else {
            return answer::closed();
        };
        let target = match self.target(&request) {
            Ok(target) => target,
            Err(message) => return answer::bad_request(message),
        };
        if request.method() == Method::CONNECT {
            self.open_tunnel(request, target, slot).await
        } else {
            self.exchange(request, target, slot).await
        }
    }

    fn target(&self, request: &Request<Incoming>) -> Result<Target, &'static str> {
        const DESTINATION: &str = "The destination of the request cannot be read";
        let uri = request.uri();
        let connect = *request.method() == Method::CONNECT;
        let authority = uri.authority().map(|authority| authority.as_str());
        match (&self.scope, connect, authority) {
            (Scope::Tunnel { .. }, true, _) => Err("CONNECT inside a tunnel"),
            (Scope::Tunnel { upstream, .. }, false, None) => Ok(upstream.target.clone()),
            (Scope::Proxy, true, Some(authority)) => {
                Target::parse(authority, None).map_err(|_| DESTINATION)
            }
            (_, false, Some(authority)) if uri.scheme_str() == Some(self.scheme()) => {
                Target::parse(authority, Some(self.default_port())).map_err(|_| DESTINATION)
            }
            (Scope::Tunnel { .. }, false, Some(_)) => Err("The URL has another scheme"),
            (Scope::Proxy, false, Some(_)) => {
                Err("Only http URLs can be requested; use CONNECT for https")
            }
            (Scope::Proxy, _, None) => Err("This is a proxy; the request names no host"),
        }
    }

    fn is_tls(&self) -> bool {
        match &self.scope {
            Scope::Proxy => false,
            Scope::Tunnel { upstream, .. } => upstream.is_tls(),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    fn default_port(&self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }

    async fn open_tunnel(
        &self,
        mut request: Request<Incoming>,
        target: Target,
        slot: Slot,
    ) -> Response<Body> {
        match Tunnel::open(&self.shared, target.clone(), slot).await {
            Ok(tunnel) => {
                self.become_next(Next::Tunnel(
                    hyper::upgrade::on(&mut request),
                    Box::new(tunnel),
                ));
                answer::established()
            }
            Err(refusal) => refused(&target, refusal),
        }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        target: Target,
        slot: Slot,
    ) -> Response<Body> {
        let (method, url) = (request.method().to_string(), self.url(&request, &target));
        let mut exchange = Exchange::new(slot, &method, &url, Rule::Fixed);
        exchange.usage = self.shared.usage_of(&target);
        let view = RequestView::new(request.method().as_str(), request.uri().path());
        let response = match self.route(&request, &target, &view).await {
            Ok(route) => {
                exchange.decided_by(route.rule);
                exchange.take_off(&self.flights, &target, &route.addresses, view);
                match self.forward(request, &target, &route, exchange).await {
                    Ok(response) => return response,
                    Err((response, unsent)) => {
                        exchange = unsent;
                        response
                    }
                }
            }
            Err(Mismatch::Names) => {
                exchange.deny();
                answer::mismatch(&target)
            }
            Err(Mismatch::Refused(refusal)) => {
                if let Refusal::Denied { rule, .. } = refusal {
                    exchange.decided_by(rule);
                    exchange.deny();
                }
                refused(&target, TunnelRefusal::Refused(refusal))
            }
        };
        exchange.answered(response.status());
        response
    }

    async fn route(
        &self,
        request: &Request<Incoming>,
        target: &Target,
        view: &RequestView,
    ) -> Result<Route, Mismatch> {
        if !self.names_agree(request, target) {
            return Err(Mismatch::Names);
        }
        let resolved;
        let addresses = match &self.scope {
            Scope::Tunnel { addresses, .. } => addresses,
            Scope::Proxy => {
                resolved = self.shared.resolve(target, Some(view)).await?;
                &resolved
            }
        };
        Ok(self.shared.admit(target, addresses, Some(view))?)
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        target: &Target,
        route: &Route,
        mut exchange: Exchange,
    ) -> Result<Response<Body>, (Response<Body>, Exchange)> {
        let upstream = self.upstream(target);
        let broker = &self.shared.broker;
        let outgoing = match forward::outgoing(request, &upstream, broker, &mut exchange) {
            Ok(outgoing) => outgoing,
            Err(error) => return Err((unsent(target, error, &exchange), exchange)),
        };
        let addresses = &route.addresses;
        match forward::forward(outgoing, &upstream, addresses, broker, exchange).await {
            Ok((response, switched)) => {
                if let Some(switched) = switched {
                    self.become_next(Next::Relay(Box::new(switched)));
                }
                Ok(response)
            }
            Err((error, exchange)) => Err((unanswered(target, &error, &exchange), exchange)),
        }
    }

    /// Where a request to `target` goes: in a tunnel to its end, else where the last one went if
    /// that is the same.
    fn upstream(&self, target: &Target) -> Arc<Upstream> {
        if let Scope::Tunnel { upstream, .. } = &self.scope {
            return Arc::clone(upstream);
        }
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        match &*plain {
            Some(upstream) if upstream.target == *target => Arc::clone(upstream),
            _ => {
                let outside = self.shared.outside.clone();
                let upstream = Upstream::new(target.clone(), Security::Plain, outside, None);
                Arc::clone(plain.insert(upstream))
            }
        }
    }

    /// Whether everything that names the destination names the same one.
    fn names_agree(&self, request: &Request<Incoming>, target: &Target) -> bool {
        if let Scope::Tunnel { upstream, .. } = &self.scope
            && upstream.target != *target
        {
            return false;
        }
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return request.headers().get(HOST).is_none();
        };
        let default = self.default_port();
        let host = host
            .to_str()
            .ok()
            .and_then(|host| Target::parse(host, Some(default)).ok());
        host.as_ref() == Some(target)
    }

    fn url(&self, request: &Request<Incoming>, target: &Target) -> String {
        match request.uri().authority() {
            Some(_) => request.uri().to_string(),
            None => {
                let host = target.http_host(self.default_port());
                format!("{}://{host}{}", self.scheme(), request.uri())
            }
        }
    }

    fn become_next(&self, next: Next) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    }
}

enum Mismatch {
    Names,
    Refused(Refusal),
}

impl From<Refusal> for Mismatch {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn refused(target: &Target, refusal: TunnelRefusal) -> Response<Body> {
    match refusal {
        TunnelRefusal::Refused(Refusal::Denied { rule, .. }) => answer::denied(target, rule),
        TunnelRefusal::Refused(Refusal::Unresolved) => {
            answer::unreachable(target, "does not resolve")
        }
        TunnelRefusal::Unreachable(_) => answer::unreachable(target, "does not answer"),
    }
}

/// The answer to a request that does not go out.
fn unsent(target: &Target, error: OutgoingError, exchange: &Exchange) -> Response<Body> {
    tracing::debug!(%error, %target, "failed to form a request");
    match error {
        OutgoingError::Secrets(ApplyError::Stray(stray)) => {
            answer::stray(exchange.stray.get_or_init(|| stray))
        }
        OutgoingError::Secrets(ApplyError::Query(_)) => answer::bad_request(
            "The request is too long with the secret that is put into its query",
        ),
        OutgoingError::Form(_) => answer::bad_request("The request cannot be read"),
    }
}

/// The answer to a request that went out and has none.
fn unanswered(target: &Target, error: &ForwardError, exchange: &Exchange) -> Response<Body> {
    tracing::debug!(%error, %target, "failed to forward a request");
    match (exchange.stray.get(), error) {
        (Some(stray), _) => answer::stray(stray),
        (None, ForwardError::Hidden) => answer::hidden(target),
        (None, ForwardError::Upstream(error)) => answer::unreachable(target, what_of(error)),
    }
}

fn what_of(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect(_) => "does not answer",
        UpstreamError::Tls(_) => "has no certificate that the gateway trusts",
        UpstreamError::Http(_) | UpstreamError::Form(_) => "broke off",
    }
}
