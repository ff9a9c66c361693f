//! An HTTPS server on loopback that remembers what it was asked, with an authority of its own.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream;
use http::{Request, Response, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The name by which a sandbox reaches this machine's loopback, and the one in the certificate.
pub const HOST: &str = "host.vm0.internal";

const CHUNK: usize = 64 * 1024;

type Body = BoxBody<Bytes, Infallible>;

/// Vouches for servers of tests.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If its certificate cannot be made.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Another name than its servers have: a certificate that names itself vouches for nobody.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), issuer.pem()).expect("a written file");
        Self { issuer, file }
    }

    /// Its certificate, in PEM.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What a server called `name` that speaks `alpn` accepts TLS with.
    ///
    /// # Panics
    /// If the certificate cannot be made.
    pub fn server_config(&self, name: &str, alpn: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate that fits its key");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// An HTTPS server for [`HOST`], HTTP/1.1 and HTTP/2. `/bytes/N` answers N bytes, `/repeat` the
/// request's body, everything else the request itself as JSON: `method`, `path`, `version`,
/// `headers`, `body`.
#[derive(Debug)]
pub struct HttpsServer {
    port: u16,
    authority: Authority,
    seen: Arc<Mutex<Vec<SeenRequest>>>,
}

/// A request as the server received it.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// As sent.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl SeenRequest {
    /// The only value of a header; none if there is none or more.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

impl HttpsServer {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn start() -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.server_config(HOST, &["h2", "http/1.1"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&noted)));
            }
        });
        Self {
            port,
            authority,
            seen,
        }
    }

    /// `host.vm0.internal:PORT`.
    pub fn host(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// The URL of `path`, as a sandbox writes it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A PEM file of the authority that vouches for it.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<SeenRequest> {
        lock(&self.seen).clone()
    }
}

/// TLS for [`HOST`] in front of a server on loopback that speaks in clear.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    authority: Authority,
}

impl TlsFront {
    /// Starts one on a free port, in front of the server on port `behind`.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn start(behind: u16) -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.server_config(HOST, &["http/1.1"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(stream).await?;
                    let mut server = TcpStream::connect(("127.0.0.1", behind)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { port, authority }
    }

    /// Its URL, as a sandbox writes it.
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A PEM file of the authority that vouches for it.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, seen: Arc<Mutex<Vec<SeenRequest>>>) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, &seen).await) }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ended = builder.serve_connection(io, service).await;
    } else {
        let builder = hyper::server::conn::http1::Builder::new();
        let _ended = builder.serve_connection(io, service).await;
    }
}

async fn answer(request: Request<Incoming>, seen: &Mutex<Vec<SeenRequest>>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    if let Some(authority) = parts.uri.authority() {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let request = SeenRequest {
        method: parts.method.to_string(),
        path: path.to_owned(),
        headers,
        body: body.unwrap_or_default().to_vec(),
    };
    lock(seen).push(request.clone());
    let count = path.strip_prefix("/bytes/").and_then(|n| n.parse().ok());
    let body = match (path, count) {
        (_, Some(count)) => zeros(count),
        ("/repeat", _) => full(request.body),
        _ => full(described(&request, parts.version)),
    };
    Response::new(body)
}

fn described(request: &SeenRequest, version: Version) -> Vec<u8> {
    let headers: serde_json::Map<String, serde_json::Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let described = json!({
        "method": request.method,
        "path": request.path,
        "version": format!("{version:?}"),
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    });
    described.to_string().into_bytes()
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(bytes.into()).boxed()
}

fn zeros(count: usize) -> Body {
    let block = Bytes::from(vec![0; CHUNK]);
    let frames = (0..count.div_ceil(CHUNK)).map(move |n| {
        let left = count - n * CHUNK;
        Ok::<_, Infallible>(Frame::data(block.slice(..left.min(CHUNK))))
    });
    BodyExt::boxed(StreamBody::new(stream::iter(frames)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
