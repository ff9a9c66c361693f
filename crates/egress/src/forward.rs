//! One HTTP request to its server and the answer back, both bodies streamed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use vm0_model::limits;

use crate::answer;
use crate::host::Target;
use crate::journal::Exchange;
use crate::usage::AnswerUsage;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const WEBSOCKET: &str = "websocket";

/// A protocol that both sides switched to: WebSocket.
pub(crate) struct Switched {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
    pub(crate) exchange: Exchange,
    pub(crate) driver: AbortOnDropHandle<()>,
}

/// Why there is no answer from the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("form the request")]
    Form(#[from] http::Error),
    #[error("exchange HTTP with the server")]
    Http(#[from] hyper::Error),
}

/// Sends `request` to `target` over `upstream`. The answer's body writes the log line when it
/// ends; a switch of protocols is handed back instead.
pub(crate) async fn forward(
    mut request: Request<Incoming>,
    target: &Target,
    upstream: TcpStream,
    exchange: Exchange,
) -> Result<(Response<answer::Body>, Option<Switched>), (ForwardError, Exchange)> {
    let client = wants_websocket(request.headers()).then(|| hyper::upgrade::on(&mut request));
    let request = match outgoing(request, target, client.is_some(), &exchange) {
        Ok(request) => request,
        Err(error) => return Err((error.into(), exchange)),
    };
    let (driver, response) = match send(request, upstream).await {
        Ok(sent) => sent,
        Err(error) => return Err((error.into(), exchange)),
    };
    Ok(incoming(response, client, exchange, driver))
}

async fn send(
    request: Request<Counted>,
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

fn outgoing(
    request: Request<Incoming>,
    target: &Target,
    websocket: bool,
    exchange: &Exchange,
) -> Result<Request<Counted>, http::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder().path_and_query(path).build()?;
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers, websocket);
    // The server answers `Expect` by accepting the body, which this side has done already.
    parts.headers.remove(EXPECT);
    if exchange.usage.is_some() {
        // A compressed answer could not be read.
        let identity = HeaderValue::from_static("identity");
        parts.headers.insert(ACCEPT_ENCODING, identity);
    }
    parts
        .headers
        .insert(HOST, HeaderValue::try_from(target.http_host())?);
    let body = Counted {
        body,
        bytes: Arc::clone(&exchange.request_bytes),
    };
    Ok(Request::from_parts(parts, body))
}

fn incoming(
    mut response: Response<Incoming>,
    client: Option<OnUpgrade>,
    mut exchange: Exchange,
    driver: AbortOnDropHandle<()>,
) -> (Response<answer::Body>, Option<Switched>) {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    exchange.answered(response.status());
    let server = switching.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    strip_hop_by_hop(&mut parts.headers, switching);
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
            let usage = exchange.usage.as_ref();
            let body = Answer {
                body: Counted { body, bytes },
                usage: usage.and_then(|usage| usage.answer(&parts.headers)),
                _exchange: exchange,
                _driver: driver,
            };
            (Response::from_parts(parts, body.boxed()), None)
        }
    }
}

/// Passes bytes both ways between the sides of `switched` until both have ended.
pub(crate) async fn relay(switched: Switched) -> io::Result<()> {
    let Switched {
        client,
        server,
        exchange,
        driver,
    } = switched;
    let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
    let mut server = TokioIo::new(server.await.map_err(io::Error::other)?);
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
struct Counted {
    body: Incoming,
    bytes: Arc<AtomicU64>,
}

/// The body of an answer, with what must live as long as it.
struct Answer {
    body: Counted,
    usage: Option<AnswerUsage>,
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
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(usage), Some(Ok(frame))) = (&mut self.usage, &frame)
            && let Some(data) = frame.data_ref()
        {
            usage.feed(data);
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
