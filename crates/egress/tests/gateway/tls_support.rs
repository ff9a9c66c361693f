//! TLS servers with certificates of their own authority, and clients that trust the gateway's.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use vm0_egress::{Outside, UpstreamProxy};
use vm0_model::limits;
use vm0_model::network::{NetworkMode, NetworkRule};

use crate::support::{Bench, Client, allow, bench_of, config, loopback, server};

pub(crate) type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;
pub(crate) type Sender2 = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// Servers of the internet and who vouches for them.
pub(crate) struct Internet {
    issuer: CertifiedIssuer<'static, KeyPair>,
    authority: tempfile::NamedTempFile,
}

/// An HTTPS server on loopback.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Connections it has accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Internet {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), issuer.pem()).unwrap();
        Self { issuer, authority }
    }

    pub(crate) fn outside(&self, proxy: Option<&str>) -> Outside {
        let proxy = proxy.map(|url| UpstreamProxy::parse(url).unwrap());
        Outside::new(&[self.authority.path().to_owned()], proxy).unwrap()
    }

    /// A gateway with `rules`; every one of `names` is 127.0.0.1.
    pub(crate) fn bench(&self, names: &[&str], inspect: bool, rules: Vec<NetworkRule>) -> Bench {
        let mut config = config(NetworkMode::Allowlist, rules);
        config.policy.inspect = inspect;
        config.outside = self.outside(None);
        bench_of(config, loopback(names), limits::CONNECTIONS_MAX_PER_RUN)
    }

    /// The same, which allows all of them and decrypts.
    pub(crate) fn inspecting(&self, names: &[&str]) -> Bench {
        self.bench(names, true, names.iter().map(|name| allow(name)).collect())
    }

    fn acceptor(&self, names: &[&str], alpn: &[&str]) -> TlsAcceptor {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// TLS for `name` in front of what listens on port `behind`; returns its port.
    pub(crate) async fn front(&self, name: &str, behind: u16) -> u16 {
        let acceptor = self.acceptor(&[name], &[]);
        server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut client) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect((Ipv4Addr::LOCALHOST, behind))
                    .await
                    .unwrap();
                let _copied = tokio::io::copy_bidirectional(&mut client, &mut inner).await;
            }
        })
        .await
    }

    /// An HTTPS server for `names` that speaks `alpn`.
    pub(crate) async fn server<F, Answered>(
        &self,
        names: &[&str],
        alpn: &[&str],
        answer: F,
    ) -> Server
    where
        F: Fn(Request<Incoming>) -> Answered + Clone + Send + Sync + 'static,
        Answered: Future<Output = Response<Body>> + Send + 'static,
    {
        let acceptor = self.acceptor(names, alpn);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let service = service_fn(move |request| {
                        let answering = answer(request);
                        async move { Ok::<_, Infallible>(answering.await) }
                    });
                    let io = TokioIo::new(stream);
                    if http2 {
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _served = builder.serve_connection(io, service).await;
                    } else {
                        let builder = hyper::server::conn::http1::Builder::new();
                        let served = builder.serve_connection(io, service).with_upgrades();
                        let _served = served.await;
                    }
                });
            }
        });
        Server { port, connections }
    }
}

pub(crate) type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

pub(crate) fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// Answers with the request's own version, method, path, host and body.
pub(crate) async fn describe(request: Request<Incoming>) -> Response<Body> {
    let (parts, content) = request.into_parts();
    let host = match parts.uri.authority() {
        Some(authority) => authority.to_string(),
        None => parts.headers["host"].to_str().unwrap().to_owned(),
    };
    let version = match parts.version {
        Version::HTTP_2 => "2",
        _ => "1",
    };
    let path = parts.uri.path_and_query().unwrap().clone();
    let content = content.collect().await.unwrap().to_bytes();
    let content = String::from_utf8_lossy(&content);
    let text = format!("{version} {} {host} {path} {content}", parts.method);
    Response::new(body(text))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A TLS client inside the sandbox that trusts the gateway of `bench` only.
pub(crate) async fn secure(
    bench: &Bench,
    mut client: Client,
    authority: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<DuplexStream>> {
    assert!(client.connect(authority).await.starts_with("HTTP/1.1 200 "));
    let mut roots = RootCertStore::empty();
    let pem = bench.gateway.certificate();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    connect(client.stream, authority, alpn, roots).await
}

/// A TLS client that trusts `roots`, on a tunnel that is open.
pub(crate) async fn connect(
    stream: DuplexStream,
    authority: &str,
    alpn: &[&str],
    roots: RootCertStore,
) -> std::io::Result<TlsStream<DuplexStream>> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = authority.rsplit_once(':').unwrap().0.to_owned();
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// An HTTP/1 client through the gateway, TLS decrypted there.
pub(crate) async fn http1(bench: &Bench, authority: &str) -> Sender {
    let stream = secure(bench, bench.connect(), authority, &["http/1.1"]).await;
    let io = TokioIo::new(stream.unwrap());
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

/// An HTTP/2 client through the gateway, TLS decrypted there.
pub(crate) async fn http2(bench: &Bench, authority: &str) -> Sender2 {
    let stream = secure(bench, bench.connect(), authority, &["h2"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A request of HTTP/1.
pub(crate) fn request(
    method: &str,
    authority: &str,
    path: &str,
    content: &str,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .body(Full::from(content.to_owned()))
        .unwrap()
}

/// A request of HTTP/2.
pub(crate) fn request2(
    method: &str,
    authority: &str,
    path: &str,
    content: &str,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("https://{authority}{path}"))
        .body(Full::from(content.to_owned()))
        .unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The request that a WebSocket begins with.
pub(crate) fn websocket(authority: &str) -> Request<Full<Bytes>> {
    let mut asking = request("GET", authority, "/socket", "");
    let headers = asking.headers_mut();
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    asking
}

/// The answer that agrees to it.
pub(crate) fn switching() -> Response<Body> {
    let response = Response::builder().status(101);
    let response = response
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    response.body(Empty::new().boxed()).unwrap()
}
