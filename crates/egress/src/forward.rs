//! One HTTP request to its server and the answer back, both bodies streamed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use vm0_model::limits;

use crate::answer;
use crate::body::{Masked, MaskedStream, Scanned};
use crate::broker::{ApplyError, Broker, Injected};
use crate::host::Target;
use crate::journal::Exchange;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const WEBSOCKET: &str = "websocket";
/// What is read here travels in clear.
const TLS: bool = false;

/// A protocol that both sides switched to: WebSocket.
pub(crate) struct Switched {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
    pub(crate) exchange: Exchange,
    pub(crate) driver: AbortOnDropHandle<()>,
}

/// A request as it goes out.
pub(crate) struct Outgoing {
    request: Request<Scanned<Counted>>,
    injected: Injected,
    /// The client's side, if the request asks for a WebSocket.
    client: Option<OnUpgrade>,
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
    #[error("exchange HTTP with the server")]
    Http(#[from] hyper::Error),
    /// An echo of the secret in the request could not be seen.
    #[error("read an answer that is encoded")]
    Hidden,
}

/// Makes of a client's request to `target` the one that goes out: without what belongs to the
/// client's connection, with the secrets that are put in.
pub(crate) fn outgoing(
    mut request: Request<Incoming>,
    target: &Target,
    broker: &Arc<Broker>,
    exchange: &mut Exchange,
) -> Result<Outgoing, OutgoingError> {
    let client = wants_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder().path_and_query(path).build()?;
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers, client.is_some());
    // The server answers `Expect` by accepting the body, which this side has done already.
    parts.headers.remove(EXPECT);
    let injected = broker.apply(target, TLS, &mut parts)?;
    exchange.injected(&injected);
    parts.headers.insert(
        HOST,
        HeaderValue::try_from(target.http_host()).map_err(http::Error::from)?,
    );
    let body = Counted {
        body,
        bytes: Arc::clone(&exchange.request_bytes),
    };
    let scanner = broker.scanner(target, TLS);
    let body = Scanned::new(body, broker, scanner, Arc::clone(&exchange.stray));
    Ok(Outgoing {
        request: Request::from_parts(parts, body),
        injected,
        client,
    })
}

/// Sends a request over `upstream`. The answer's body writes the log line when it ends; a switch
/// of protocols is handed back instead.
pub(crate) async fn forward(
    outgoing: Outgoing,
    upstream: TcpStream,
    broker: &Arc<Broker>,
    exchange: Exchange,
) -> Result<(Response<answer::Body>, Option<Switched>), (ForwardError, Exchange)> {
    let (driver, response) = match send(outgoing.request, upstream).await {
        Ok(sent) => sent,
        Err(error) => return Err((error.into(), exchange)),
    };
    if outgoing.injected.hidden_by(response.headers()) && !response.body().is_end_stream() {
        return Err((ForwardError::Hidden, exchange));
    }
    Ok(incoming(
        response,
        outgoing.client,
        broker,
        exchange,
        driver,
    ))
}

async fn send(
    request: Request<Scanned<Counted>>,
    upstream: TcpStream,
) -> Result<(AbortOnDropHandle<()>, Response<Incoming>), hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(limits::GATEWAY_HEAD_MAX_BYTES)
        .handshake(TokioIo::new(upstream))
        .await?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "failed to finish an exchange");
        }
    }));
    Ok((driver, sender.send_request(request).await?))
}

fn incoming(
    mut response: Response<Incoming>,
    client: Option<OnUpgrade>,
    broker: &Arc<Broker>,
    mut exchange: Exchange,
    driver: AbortOnDropHandle<()>,
) -> (Response<answer::Body>, Option<Switched>) {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    exchange.answered(response.status());
    let server = switching.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers, switching);
    broker.mask_headers(&mut parts.headers);
    // Free text of the server, which no program needs.
    parts.extensions.remove::<ReasonPhrase>();
    match (client, server) {
        (Some(client), Some(server)) => {
            let switched = Switched {
                client,
                server,
                exchange,
                driver,
            };
            (
                Response::from_parts(parts, answer::established().into_body()),
                Some(switched),
            )
        }
        _ => {
            let bytes = Arc::clone(&exchange.response_bytes);
            let body = Answer {
                body: Masked::new(Counted { body, bytes }, broker),
                _exchange: exchange,
                _driver: driver,
            };
            (Response::from_parts(parts, body.boxed()), None)
        }
    }
}

/// Passes bytes both ways between the sides of `switched` until both have ended.
pub(crate) async fn relay(switched: Switched, broker: &Broker) -> io::Result<()> {
    let Switched {
        client,
        server,
        exchange,
        driver,
    } = switched;
    let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
    let server = TokioIo::new(server.await.map_err(io::Error::other)?);
    let mut server = MaskedStream::new(server, broker);
    let (sent, received) = tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    exchange.request_bytes.fetch_add(sent, Ordering::Relaxed);
    exchange
        .response_bytes
        .fetch_add(received, Ordering::Relaxed);
    drop(driver);
    Ok(())
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
    bytes: Arc<AtomicU64>,
}

/// The body of an answer, with what must live as long as it.
struct Answer {
    body: Masked<Counted>,
    _exchange: Exchange,
    _driver: AbortOnDropHandle<()>,
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
            self.bytes
                .fetch_add(data.remaining() as u64, Ordering::Relaxed);
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
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
