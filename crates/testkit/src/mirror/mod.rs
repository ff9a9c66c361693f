//! A server on loopback that works against its clients: it gives back what it was sent in every
//! way that HTTP has, and remembers it.

mod answers;
mod http1;
mod http2;
mod request;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub use request::MirroredRequest;

use crate::https::{Authority, HOST};

/// What was asked, as all connections share it.
type Seen = Arc<Mutex<Vec<MirroredRequest>>>;

/// The server, over TLS with HTTP/1.1 and HTTP/2, or in clear. The first segment of a path says how
/// the answer carries the request: see `answers`.
#[derive(Debug)]
pub struct Mirror {
    port: u16,
    seen: Seen,
}

impl Mirror {
    /// Starts one on a free port; over TLS if there is an authority.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn start(authority: Option<&Authority>) -> Self {
        let acceptor = authority
            .map(|authority| TlsAcceptor::from(authority.server_config(HOST, &["h2", "http/1.1"])));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        return http1::serve(stream, &noted).await;
                    };
                    // Who does not speak TLS, or breaks off, has sent nothing that counts.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        http2::serve(stream, noted).await;
                    } else {
                        http1::serve(stream, &noted).await;
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host.vm0.internal:PORT`.
    pub fn host(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<MirroredRequest> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn note(seen: &Seen, request: MirroredRequest) {
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
}
