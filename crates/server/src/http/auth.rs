//! Authentication: the first check of every request below `/v1/` and of the runner API, before
//! the route is looked at. The metrics need a token unless a program of this machine asks.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, FORWARDED};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use vm0_model::{ApiError, ErrorCode};

use super::frame::Asker;
use super::{monitor, runner};
use crate::app::{App, AppError, Caller, Client, RunnerCaller};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Refuses a request without a valid token, and leaves the caller with the request.
pub(super) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = client(request.extensions(), request.headers());
    let path = request.uri().path();
    let for_user = path.starts_with("/v1/") || (path == monitor::PATH && !is_local(&request));
    if for_user {
        match app.authenticate(bearer(&request), &client).await {
            Ok(caller) => {
                asker(request.extensions()).note(&caller.user.name, caller.token);
                request.extensions_mut().insert(caller);
            }
            Err(error) => return error.into_response(),
        }
    } else if path.starts_with(runner::PREFIX) {
        match app.authenticate_runner(bearer(&request), &client).await {
            Ok(caller) => {
                asker(request.extensions()).note(&caller.name, caller.token);
                request.extensions_mut().insert(caller);
            }
            Err(error) => return error.into_response(),
        }
    }
    next.run(request).await
}

/// Who asks: the peer, whatever a header says. A proxy of this machine speaks for anybody, so that
/// no failure is counted for it; it has limits of its own.
pub(super) fn client(extensions: &Extensions, headers: &HeaderMap) -> Client {
    let Some(peer) = extensions.get::<Peer>() else {
        return Client::default();
    };
    let address = peer.0.ip().to_canonical();
    let forwarded = is_forwarded(headers);
    let counted = !(forwarded && address.is_loopback());
    Client {
        network: counted.then(|| address.into()),
        address: Some(match forwarded {
            true => format!("{address} (proxy)"),
            false => address.to_string(),
        }),
    }
}

/// The peer is this machine itself, and no proxy that speaks for another one.
fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<Peer>();
    peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback())
        && !is_forwarded(request.headers())
}

/// Whether the peer is a proxy, which speaks for another one.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED) || headers.contains_key(FORWARDED_FOR)
}

fn bearer(request: &Request) -> Option<&str> {
    request
        .headers()
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

fn unauthenticated() -> AppError {
    ApiError::new(ErrorCode::InvalidApiKey, "Invalid API key provided").into()
}

/// Where it is noted for the log who asks.
pub(super) fn asker(extensions: &Extensions) -> Asker {
    extensions.get().cloned().unwrap_or_default()
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(client(&parts.extensions, &parts.headers))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        parts.extensions.get().cloned().ok_or_else(unauthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RunnerCaller {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        parts.extensions.get().cloned().ok_or_else(unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(peer: Option<&str>, header: Option<&str>) -> Request {
        let mut request = Request::new(Body::empty());
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        }
        if let Some(header) = header {
            let name = axum::http::HeaderName::try_from(header).unwrap();
            request.headers_mut().insert(name, "x".try_into().unwrap());
        }
        request
    }

    #[test]
    fn only_a_proxy_of_this_machine_is_not_counted() {
        let counted = |peer, header| {
            let request = request(Some(peer), header);
            client(request.extensions(), request.headers())
                .network
                .is_some()
        };
        assert!(counted("127.0.0.1:1", None));
        assert!(counted("10.0.0.1:1", Some("x-forwarded-for")));
        assert!(!counted("127.0.0.1:1", Some("x-forwarded-for")));
        assert!(!counted("[::1]:1", Some("forwarded")));
    }

    #[test]
    fn only_an_unforwarded_request_of_this_machine_is_local() {
        for peer in [
            "127.0.0.1:1",
            "127.8.8.8:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_local(&request(Some(peer), None)), "{peer}");
            assert!(is_local(&request(Some(peer), Some("x-real-ip"))), "{peer}");
            assert!(!is_local(&request(Some(peer), Some("forwarded"))), "{peer}");
            assert!(
                !is_local(&request(Some(peer), Some("X-Forwarded-For"))),
                "{peer}"
            );
        }
        for peer in [
            "10.0.0.1:1",
            "192.168.1.1:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
        ] {
            assert!(!is_local(&request(Some(peer), None)), "{peer}");
        }
        assert!(!is_local(&request(None, None)));
    }
}
