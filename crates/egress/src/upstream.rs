//! Connections to one destination, for the requests of one client connection, used again while
//! they are fresh.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::uri::Scheme;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::task::AbortOnDropHandle;
use vm0_model::limits;

use crate::forward::RequestBody;
use crate::host::Target;
use crate::outside::Outside;
use crate::wire::Wire;

/// A connection that was idle for longer is not used again: servers close idle connections, and a
/// request that is under way then cannot be told from one that was served.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Idle connections kept for one client connection.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// A connection whose last answer has just ended is ready again within moments, or not at all.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// How the destination is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// HTTP/1 in the clear.
    Plain,
    /// HTTP/1 over TLS.
    Tls,
    /// HTTP/2 over TLS if the server has it, because the client speaks it.
    TlsHttp2,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("connect")]
    Connect(#[source] io::Error),
    #[error("agree on TLS")]
    Tls(#[source] io::Error),
    #[error("exchange HTTP")]
    Http(#[from] hyper::Error),
    #[error("form the request")]
    Form(#[from] http::Error),
}

/// Connections to `target`.
pub(crate) struct Upstream {
    pub(crate) target: Target,
    security: Security,
    outside: Outside,
    /// Connected already, because the tunnel had to be.
    opened: Mutex<Option<Wire>>,
    idle: Mutex<Vec<Http1>>,
    http2: tokio::sync::Mutex<Http2>,
}

/// A connection that carries one request at a time.
struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    driver: AbortOnDropHandle<()>,
    /// Where it leads; none if a proxy knows.
    address: Option<IpAddr>,
    idle_since: Instant,
}

/// Sends requests over one connection, and where that leads.
type Http2Sender = (http2::SendRequest<RequestBody>, Option<IpAddr>);

/// What is known of a destination that may speak HTTP/2.
enum Http2 {
    Unknown,
    /// It does not.
    No,
    Yes {
        sender: http2::SendRequest<RequestBody>,
        address: Option<IpAddr>,
        _driver: AbortOnDropHandle<()>,
    },
}

enum Connected {
    One(Http1),
    Many(
        http2::SendRequest<RequestBody>,
        Option<IpAddr>,
        AbortOnDropHandle<()>,
    ),
}

/// What an answer comes over. Given back when the answer has ended.
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    connection: Option<Http1>,
    /// Where it leads; none if a proxy knows.
    pub(crate) address: Option<IpAddr>,
}

impl Lease {
    /// The answer has ended: the connection is free.
    pub(crate) fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.idle_since = Instant::now();
            let mut idle = self.upstream.idle();
            if idle.len() < IDLE_CONNECTIONS_MAX {
                idle.push(connection);
            }
        }
    }

    /// The connection becomes something else; it ends with what is returned.
    pub(crate) fn keep(self) -> Option<AbortOnDropHandle<()>> {
        self.connection.map(|connection| connection.driver)
    }
}

impl Upstream {
    pub(crate) fn new(
        target: Target,
        security: Security,
        outside: Outside,
        opened: Option<Wire>,
    ) -> Arc<Self> {
        let http2 = match security {
            Security::TlsHttp2 => Http2::Unknown,
            Security::Plain | Security::Tls => Http2::No,
        };
        Arc::new(Self {
            target,
            security,
            outside,
            opened: Mutex::new(opened),
            idle: Mutex::default(),
            http2: tokio::sync::Mutex::new(http2),
        })
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.security != Security::Plain
    }

    /// Sends `request`, whose URI is a path, to one of `addresses`.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        addresses: &[IpAddr],
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        if let Some((mut sender, address)) = self.shared_sender(addresses).await? {
            let response = sender
                .send_request(for_http2(request, &self.target)?)
                .await?;
            let lease = Lease {
                upstream: Arc::clone(self),
                connection: None,
                address,
            };
            return Ok((response, lease));
        }
        for_http1(&mut request);
        while let Some(mut connection) = self.idle_connection(addresses).await {
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lease(connection))),
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(refused.into_error().into()),
                },
            }
        }
        let mut connection = match self.connect(addresses, false).await? {
            Connected::One(connection) => connection,
            Connected::Many(..) => unreachable!("HTTP/2 was not asked for"),
        };
        let response = connection.sender.send_request(request).await?;
        Ok((response, self.lease(connection)))
    }

    fn lease(self: &Arc<Self>, connection: Http1) -> Lease {
        Lease {
            upstream: Arc::clone(self),
            address: connection.address,
            connection: Some(connection),
        }
    }

    /// The HTTP/2 connection, made if there is none; none if the server does not speak it.
    async fn shared_sender(
        &self,
        addresses: &[IpAddr],
    ) -> Result<Option<Http2Sender>, UpstreamError> {
        let mut http2 = self.http2.lock().await;
        match &*http2 {
            Http2::No => return Ok(None),
            Http2::Yes {
                sender, address, ..
            } if !sender.is_closed() && leads_to(*address, addresses) => {
                return Ok(Some((sender.clone(), *address)));
            }
            Http2::Yes { .. } | Http2::Unknown => {}
        }
        match self.connect(addresses, true).await? {
            Connected::One(connection) => {
                self.idle().push(connection);
                *http2 = Http2::No;
                Ok(None)
            }
            Connected::Many(sender, address, driver) => {
                *http2 = Http2::Yes {
                    sender: sender.clone(),
                    address,
                    _driver: driver,
                };
                Ok(Some((sender, address)))
            }
        }
    }

    /// An idle connection that leads to one of `addresses` and is ready.
    async fn idle_connection(&self, addresses: &[IpAddr]) -> Option<Http1> {
        loop {
            let mut connection = self.idle().pop()?;
            let fresh = connection.idle_since.elapsed() < IDLE_MAX;
            if !fresh || !leads_to(connection.address, addresses) {
                continue;
            }
            let ready = tokio::time::timeout(READY_TIMEOUT, connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self, addresses: &[IpAddr], http2: bool) -> Result<Connected, UpstreamError> {
        let opened = self
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let stream = match opened {
            Some(stream) => stream,
            None => self
                .outside
                .connect(&self.target, addresses)
                .await
                .map_err(UpstreamError::Connect)?,
        };
        let address = stream.address();
        let address = address.filter(|address| addresses.contains(address));
        if !self.is_tls() {
            return start_http1(stream, address).await.map(Connected::One);
        }
        let stream = self
            .outside
            .secure(stream, &self.target, http2)
            .await
            .map_err(UpstreamError::Tls)?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            start_http2(stream, address).await
        } else {
            start_http1(stream, address).await.map(Connected::One)
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Http1>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a connection to `address` is one to `addresses`; by a proxy everything is.
fn leads_to(address: Option<IpAddr>, addresses: &[IpAddr]) -> bool {
    address.is_none_or(|address| addresses.contains(&address))
}

async fn start_http1(
    stream: impl crate::stream::Duplex,
    address: Option<IpAddr>,
) -> Result<Http1, UpstreamError> {
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(limits::GATEWAY_HEAD_MAX_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "failed to finish an exchange");
        }
    }));
    Ok(Http1 {
        sender,
        driver,
        address,
        idle_since: Instant::now(),
    })
}

async fn start_http2(
    stream: impl crate::stream::Duplex,
    address: Option<IpAddr>,
) -> Result<Connected, UpstreamError> {
    let head_max = u32::try_from(limits::GATEWAY_HEAD_MAX_BYTES).unwrap_or(u32::MAX);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::GATEWAY_HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(limits::GATEWAY_HTTP2_WINDOW_BYTES)
        .max_header_list_size(head_max)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "failed to finish an HTTP/2 connection");
        }
    }));
    Ok(Connected::Many(sender, address, driver))
}

/// HTTP/2 names the destination in the URI. What a connection says of itself does not exist.
fn for_http2(
    request: Request<RequestBody>,
    target: &Target,
) -> Result<Request<RequestBody>, http::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(target.http_host(443))
        .path_and_query(path)
        .build()?;
    parts.version = Version::HTTP_2;
    parts.headers.remove(HOST);
    Ok(Request::from_parts(parts, body))
}

fn for_http1(request: &mut Request<RequestBody>) {
    *request.version_mut() = Version::HTTP_11;
    if request.headers().contains_key(TE) && !request.headers().contains_key(CONNECTION) {
        let te = HeaderValue::from_static("te");
        request.headers_mut().insert(CONNECTION, te);
    }
}
