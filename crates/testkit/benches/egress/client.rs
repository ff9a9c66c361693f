//! Clients that reach the server directly or by a proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::{NAME, Server};

/// How a client gets to the server.
#[derive(Clone)]
pub(crate) struct Way {
    proxy: Option<u16>,
    port: u16,
    tls: Arc<ClientConfig>,
    /// What is sent where the secret goes.
    key: String,
}

impl Way {
    pub(crate) fn direct(server: &Server) -> Self {
        Self::new(None, server, server.authority(), "nothing")
    }

    /// By the proxy on `port`, whose certificates `authority` vouches for.
    pub(crate) fn new(proxy: Option<u16>, server: &Server, authority: &Path, key: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(authority).expect("a PEM file");
        roots.add_parsable_certificates(certificates.map(|der| der.expect("a certificate")));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            proxy,
            port: server.port(),
            tls: Arc::new(tls),
            key: key.to_owned(),
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        let to = ("127.0.0.1", self.proxy.unwrap_or(self.port));
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP option");
        if self.proxy.is_some() {
            let host = format!("{NAME}:{}", self.port);
            let head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream
                .write_all(head.as_bytes())
                .await
                .expect("a sent head");
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await.expect("an answer to CONNECT"));
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        }
        let name = ServerName::try_from(NAME).expect("a name");
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.expect("TLS");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Connection {
            sender,
            host: format!("{NAME}:{}", self.port),
            key: self.key.clone(),
        }
    }
}

pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    key: String,
}

impl Connection {
    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        Request::builder()
            .uri(path)
            .header("host", &self.host)
            .header("x-key", &self.key)
            .body(Empty::new())
            .expect("a request")
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.sender.ready().await.expect("an open connection");
        let response = self.sender.send_request(self.request(path)).await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.expect("a body");
    }

    /// Time until the first byte of the body is there.
    pub(crate) async fn first_byte(&mut self, path: &str) -> Duration {
        let started = Instant::now();
        let response = self.sender.send_request(self.request(path)).await;
        let mut body = response.expect("an answer").into_body();
        body.frame().await.expect("a frame").expect("a byte");
        started.elapsed()
    }
}

/// Requests a second of `clients`, each with a kept connection.
pub(crate) async fn rate(way: &Way, clients: usize, time: Duration) -> f64 {
    let mut connections = Vec::new();
    for _ in 0..clients {
        let mut connection = way.connect().await;
        connection.get("/").await;
        connections.push(connection);
    }
    let started = Instant::now();
    let working = connections.into_iter().map(|mut connection| {
        tokio::spawn(async move {
            let mut done = 0_u32;
            while started.elapsed() < time {
                connection.get("/").await;
                done += 1;
            }
            done
        })
    });
    let mut total = 0.0;
    for done in futures::future::join_all(working).await {
        total += f64::from(done.expect("a client that works"));
    }
    total / started.elapsed().as_secs_f64()
}
