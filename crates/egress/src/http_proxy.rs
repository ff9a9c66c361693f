//! The HTTP side: `CONNECT`, absolute-form requests, and the requests inside a tunnel that turned
//! out to be HTTP.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HOST;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use vm0_model::limits;

use crate::answer::{self, Body};
use crate::forward::{self, Switched};
use crate::gateway::Shared;
use crate::host::Target;
use crate::journal::{Exchange, Slot};
use crate::policy::{RequestView, Rule};
use crate::route::{self, Refusal, Route};
use crate::stream::Client;
use crate::tunnel::{Tunnel, TunnelRefusal};

/// What the requests of a connection may be for.
#[derive(Debug)]
pub(crate) enum Scope {
    /// Whatever they name, and `CONNECT`.
    Proxy,
    /// The destination of the tunnel that they are in, at the addresses resolved for it.
    Tunnel {
        target: Target,
        addresses: Vec<IpAddr>,
    },
}

/// What a connection became after its last request.
pub(crate) enum Next {
    Tunnel(OnUpgrade, Box<Tunnel>),
    Relay(Box<Switched>),
}

struct Connection {
    shared: Arc<Shared>,
    scope: Scope,
    next: Mutex<Option<Next>>,
}

/// Serves requests until the client leaves or the connection becomes something else.
pub(crate) async fn serve(shared: Arc<Shared>, client: Client, scope: Scope) -> Option<Next> {
    let header_timeout = shared.header_timeout;
    let connection = Arc::new(Connection {
        shared,
        scope,
        next: Mutex::new(None),
    });
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.handle(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(limits::GATEWAY_HEAD_MAX_BYTES)
        .preserve_header_case(true)
        .half_close(true)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "failed to serve a proxy connection");
    }
    connection
        .next
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
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
        let authority = uri.authority().map(|authority| authority.as_str());
        match (&self.scope, *request.method() == Method::CONNECT, authority) {
            (Scope::Tunnel { .. }, true, _) => Err("CONNECT inside a tunnel"),
            (Scope::Tunnel { target, .. }, false, None) => Ok(target.clone()),
            (Scope::Proxy, true, Some(authority)) => {
                Target::parse(authority, None).map_err(|_| DESTINATION)
            }
            (_, false, Some(authority)) if uri.scheme_str() == Some("http") => {
                Target::parse(authority, Some(80)).map_err(|_| DESTINATION)
            }
            (_, false, Some(_)) => Err("Only http URLs can be requested; use CONNECT for https"),
            (Scope::Proxy, _, None) => Err("This is a proxy; the request names no host"),
        }
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
        let response = match self.route(&request, &target).await {
            Ok(route) => {
                exchange.decided_by(route.rule);
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

    async fn route(&self, request: &Request<Incoming>, target: &Target) -> Result<Route, Mismatch> {
        if !self.names_agree(request, target) {
            return Err(Mismatch::Names);
        }
        let view = RequestView::new(request.method().as_str(), request.uri().path());
        let resolved;
        let addresses = match &self.scope {
            Scope::Tunnel { addresses, .. } => addresses,
            Scope::Proxy => {
                resolved = self.shared.resolve(target, Some(&view)).await?;
                &resolved
            }
        };
        Ok(self.shared.admit(target, addresses, Some(&view))?)
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        target: &Target,
        route: &Route,
        exchange: Exchange,
    ) -> Result<Response<Body>, (Response<Body>, Exchange)> {
        let upstream = match route::connect(&route.addresses, target.port).await {
            Ok(upstream) => upstream,
            Err(_) => return Err((answer::unreachable(target, "does not answer"), exchange)),
        };
        match forward::forward(request, target, upstream, exchange).await {
            Ok((response, switched)) => {
                if let Some(switched) = switched {
                    self.become_next(Next::Relay(Box::new(switched)));
                }
                Ok(response)
            }
            Err((error, exchange)) => {
                tracing::debug!(%error, %target, "failed to forward a request");
                Err((answer::unreachable(target, "broke off"), exchange))
            }
        }
    }

    /// Whether everything that names the destination names the same one.
    fn names_agree(&self, request: &Request<Incoming>, target: &Target) -> bool {
        if let Scope::Tunnel { target: tunnel, .. } = &self.scope
            && tunnel != target
        {
            return false;
        }
        let mut hosts = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return request.headers().get(HOST).is_none();
        };
        let default = match self.scope {
            Scope::Proxy => 80,
            Scope::Tunnel { .. } => target.port,
        };
        let host = host
            .to_str()
            .ok()
            .and_then(|host| Target::parse(host, Some(default)).ok());
        host.as_ref() == Some(target)
    }

    fn url(&self, request: &Request<Incoming>, target: &Target) -> String {
        match request.uri().authority() {
            Some(_) => request.uri().to_string(),
            None => format!("http://{}{}", target.http_host(), request.uri()),
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
