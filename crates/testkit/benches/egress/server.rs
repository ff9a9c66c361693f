//! The HTTPS server that everything here talks to.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use vm0_testkit::https::Authority;

/// What the server is called; it is on loopback.
pub(crate) const NAME: &str = "localhost";
/// The value that proxies put into every request.
pub(crate) const SECRET: &str = "the-value-that-is-put-in";
const CHUNK: usize = 256 * 1024;

type Body = BoxBody<Bytes, Infallible>;

pub(crate) struct Server {
    authority: Authority,
    port: u16,
    injected: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.server_config(NAME, &["http/1.1"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let injected = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&injected);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    stream.set_nodelay(true).expect("a TCP option");
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| {
                        let response = answer(&request, &counted);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ended = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            authority,
            port,
            injected,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authority(&self) -> &Path {
        self.authority.path()
    }

    /// Requests that had the secret.
    pub(crate) fn injected(&self) -> usize {
        self.injected.load(Ordering::Relaxed)
    }
}

/// The process: a server on a port that it prints, until its input ends.
pub(crate) async fn serve() {
    let server = Server::start().await;
    println!("{}", server.port());
    let gone = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    let _parent_ended = gone.await;
}

fn answer(request: &Request<Incoming>, injected: &AtomicUsize) -> Response<Body> {
    let key = request.headers().get("x-key");
    if key.is_some_and(|value| value == SECRET) {
        injected.fetch_add(1, Ordering::Relaxed);
    }
    let path = request.uri().path();
    if let Some(count) = path.strip_prefix("/bytes/").and_then(|n| n.parse().ok()) {
        return Response::new(zeros(count));
    }
    if path == "/event" {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"data: 1\n\n")))]);
        let rest = futures::StreamExt::chain(first, stream::pending());
        let body = BodyExt::boxed(StreamBody::new(rest));
        let response = Response::builder().header("content-type", "text/event-stream");
        return response.body(body).expect("a response");
    }
    Response::new(Full::from("a small answer").boxed())
}

fn zeros(count: usize) -> Body {
    let block = Bytes::from(vec![0; CHUNK]);
    let frames = (0..count.div_ceil(CHUNK)).map(move |n| {
        let left = count - n * CHUNK;
        Ok::<_, Infallible>(Frame::data(block.slice(..left.min(CHUNK))))
    });
    BodyExt::boxed(StreamBody::new(stream::iter(frames)))
}
