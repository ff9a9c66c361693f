//! One HTTP request to its server and the answer back, both bodies streamed.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SEC_WEBSOCKET_EXTENSIONS, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;
use vm0_model::limits;

use crate::answer;
use crate::body::{Masked, MaskedStream, Scanned, ScannedFrames};
use crate::broker::{ApplyError, Broker, FrameError, Frames, Injected, Scanner};
use crate::counter::Meter;
use crate::gateway::Shared;
use crate::journal::Exchange;
use crate::policy::Policy;
use crate::stream::Metered;
use crate::upstream::{Lease, Upstream, UpstreamError};
use crate::usage::AnswerUsage;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const WEBSOCKET: &str = "websocket";

/// A protocol that both sides switched to: WebSocket.
pub(crate) struct Switched {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
    pub(crate) exchange: Exchange,
    /// What looks for placeholders in what the client says.
    pub(crate) scanner: Option<Scanner>,
    pub(crate) driver: Option<AbortOnDropHandle<()>>,
}

/// The body of a request on its way out.
pub(crate) type RequestBody = Scanned<Counted>;

/// A request as it goes out.
pub(crate) struct Outgoing {
    request: Request<RequestBody>,
    injected: Injected,
    websocket: Option<Asking>,
}

/// The client's side of a request for a WebSocket.
struct Asking {
    client: OnUpgrade,
    /// What looks for placeholders in what it says.
    scanner: Option<Scanner>,
}

/// Why a request does not go out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutgoingError {
    #[error("form the request")]
    Form(#[from] http::Error),
    #[error("apply the secrets of the run")]
    Secrets(#[from] ApplyError),
}

/// Why there is no answer from the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// An echo of the secret in the request could not be seen.
    #[error("read an answer that is encoded")]
    Hidden,
}

/// Makes of a client's request to `upstream` the one that goes out: without what belongs to the
/// client's connection, with the secrets that are put in.
pub(crate) fn outgoing(
    mut request: Request<Incoming>,
    upstream: &Upstream,
    broker: &Arc<Broker>,
    exchange: &mut Exchange,
) -> Result<Outgoing, OutgoingError> {
    let client = wants_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder().path_and_query(path).build()?;
    let trailers = parts.version == Version::HTTP_2 && accepts_trailers(&parts.headers);
    strip_hop_by_hop(&mut parts.headers, client.is_some());
    // The server answers `Expect` by accepting the body, which this side has done already.
    parts.headers.remove(EXPECT);
    let injected = broker.apply(&upstream.target, upstream.is_tls(), &mut parts)?;
    exchange.injected(&injected);
    if exchange.usage.is_some() {
        // A compressed answer could not be read.
        let identity = HeaderValue::from_static("identity");
        parts.headers.insert(ACCEPT_ENCODING, identity);
    }
    if trailers {
        parts.headers.insert(TE, TRAILERS);
    }
    let default_port = if upstream.is_tls() { 443 } else { 80 };
    let host = upstream.target.http_host(default_port);
    let host = HeaderValue::try_from(host).map_err(http::Error::from)?;
    parts.headers.insert(HOST, host);
    let body = Counted {
        body,
        meter: Arc::clone(&exchange.meter),
        count: Meter::sent,
    };
    let scanner = broker.scanner(&upstream.target, upstream.is_tls());
    let websocket = client.map(|client| Asking {
        client,
        scanner: scanner.clone(),
    });
    if matches!(
        &websocket,
        Some(Asking {
            scanner: Some(_),
            ..
        })
    ) {
        // What is compressed could not be read.
        parts.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    }
    let body = Scanned::new(body, broker, scanner, Arc::clone(&exchange.stray));
    Ok(Outgoing {
        request: Request::from_parts(parts, body),
        injected,
        websocket,
    })
}

/// Sends a request to `upstream` at one of `addresses`. The answer's body writes the log line when
/// it ends; a switch of protocols is handed back instead.
pub(crate) async fn forward(
    outgoing: Outgoing,
    upstream: &Arc<Upstream>,
    addresses: &[IpAddr],
    broker: &Arc<Broker>,
    exchange: Exchange,
) -> Result<(Response<answer::Body>, Option<Switched>), (ForwardError, Exchange)> {
    let (response, lease) = match upstream.send(outgoing.request, addresses).await {
        Ok(sent) => sent,
        Err(error) => return Err((error.into(), exchange)),
    };
    if outgoing.injected.hidden_by(response.headers()) && !response.body().is_end_stream() {
        return Err((ForwardError::Hidden, exchange));
    }
    let websocket = outgoing.websocket;
    Ok(incoming(response, websocket, broker, exchange, lease))
}

fn incoming(
    mut response: Response<Incoming>,
    websocket: Option<Asking>,
    broker: &Arc<Broker>,
    mut exchange: Exchange,
    lease: Lease,
) -> (Response<answer::Body>, Option<Switched>) {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    exchange.answered(response.status());
    exchange.address = lease.address;
    let server = switching.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers, switching);
    broker.mask_headers(&mut parts.headers);
    // Free text of the server, which no program needs.
    parts.extensions.remove::<ReasonPhrase>();
    match (websocket, server) {
        (Some(Asking { client, scanner }), Some(server)) => {
            if scanner.is_some() {
                // None was asked for.
                parts.headers.remove(SEC_WEBSOCKET_EXTENSIONS);
            }
            let switched = Switched {
                client,
                server,
                exchange,
                scanner,
                driver: lease.keep(),
            };
            (
                Response::from_parts(parts, answer::established().into_body()),
                Some(switched),
            )
        }
        _ => {
            let usage = exchange.usage.as_ref();
            let counted = Counted {
                body,
                meter: Arc::clone(&exchange.meter),
                count: Meter::received,
            };
            let body = Answer {
                body: Masked::new(counted, broker),
                usage: usage.and_then(|usage| usage.answer(&parts.headers)),
                _exchange: exchange,
                lease: Some(lease),
            };
            (Response::from_parts(parts, body.boxed()), None)
        }
    }
}

/// Passes bytes both ways between the sides of `switched` until both have ended or the policy
/// forbids it.
pub(crate) async fn relay(shared: &Shared, switched: Switched) -> io::Result<()> {
    let Switched {
        client,
        server,
        mut exchange,
        scanner,
        driver,
    } = switched;
    let client = TokioIo::new(client.await.map_err(io::Error::other)?);
    let client = Metered::new(client, Arc::clone(&exchange.meter));
    let mut client = ScannedFrames::new(client, scanner.map(Frames::new));
    let server = TokioIo::new(server.await.map_err(io::Error::other)?);
    let mut server = MaskedStream::new(server, &shared.broker);
    let copying = copy_both(&mut client, &mut server);
    let allowed = |policy: &Policy| exchange.is_allowed_by(policy);
    let copied = shared.while_allowed(allowed, copying).await;
    match client.refused() {
        Some(FrameError::Stray(secret)) => {
            exchange.stray_in(shared.broker.stray_in_message(secret));
        }
        Some(FrameError::Malformed) => exchange.refuse("a WebSocket frame cannot be read"),
        None => {}
    }
    drop(driver);
    copied.map_or(Ok(()), |copied| copied.map(drop))
}

/// Passes bytes both ways until both sides have ended.
pub(crate) async fn copy_both(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<(u64, u64)> {
    const SIZE: usize = limits::GATEWAY_BUFFER_BYTES;
    tokio::io::copy_bidirectional_with_sizes(client, server, SIZE, SIZE).await
}

/// Only WebSocket: any other protocol to switch to could hide requests from the policy.
fn wants_websocket(headers: &HeaderMap) -> bool {
    let is_websocket =
        |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    let mut upgrades = headers.get_all(UPGRADE).iter();
    tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"))
        && upgrades.next().is_some_and(is_websocket)
        && upgrades.next().is_none()
}

/// Whether the client reads what follows a body, as gRPC does.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.get(TE).is_some_and(|te| *te == TRAILERS)
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

fn strip_hop_by_hop(headers: &mut HeaderMap, websocket: bool) {
    let named: Vec<HeaderName> = tokens(headers)
        .filter_map(|name| name.parse().ok())
        .collect();
    let upgrade = headers.get(UPGRADE).cloned();
    for name in named {
        // `Host` and the length frame the message; no header may take them away.
        if name != HOST && name != http::header::CONTENT_LENGTH {
            headers.remove(name);
        }
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
    if let (true, Some(upgrade)) = (websocket, upgrade) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

/// A body whose bytes are counted.
pub(crate) struct Counted {
    body: Incoming,
    meter: Arc<Meter>,
    count: fn(&Meter, usize),
}

/// The body of an answer, with what must live as long as it.
struct Answer {
    body: Masked<Counted>,
    usage: Option<AnswerUsage>,
    _exchange: Exchange,
    /// None once the body has ended.
    lease: Option<Lease>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref())
        {
            (self.count)(&self.meter, data.remaining());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(usage), Some(Ok(frame))) = (&mut self.usage, &frame)
            && let Some(data) = frame.data_ref()
        {
            usage.feed(data);
        }
        if frame.is_none()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // A body of known length is dropped after its last byte without being asked for its end.
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}
