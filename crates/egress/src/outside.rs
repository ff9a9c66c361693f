//! What the gateway meets outside: whom it trusts, and the proxy that an operator's network has.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vm0_model::limits;

use crate::address::{Reach, reach};
use crate::authority::ALPN;
use crate::host::{Host, Target};
use crate::interfaces;
use crate::wire::Wire;

/// The way from the gateway to the internet. One serves every run of a runner.
#[derive(Debug, Clone)]
pub struct Outside {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    proxy: Option<Arc<UpstreamProxy>>,
}

/// A proxy through which everything goes that is not on a private network.
pub struct UpstreamProxy {
    target: Target,
    /// Whether it is spoken to over TLS.
    tls: bool,
    credentials: Option<SecretString>,
}

/// The way out cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// A file of certificates cannot be read.
    #[error("read certificates of authorities from {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has no certificate, or one that is none.
    #[error("find a certificate of an authority in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The URL of the proxy is not one.
    #[error("understand the proxy URL; it must look like http[s]://[USER:PASSWORD@]HOST:PORT")]
    Proxy,
    /// TLS cannot be set up.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
}

impl Outside {
    /// Trusts the authorities of this machine and those in the PEM files `authorities`.
    ///
    /// # Errors
    /// If a file or the URL of the proxy cannot be read.
    pub fn new(
        authorities: &[PathBuf],
        proxy: Option<UpstreamProxy>,
    ) -> Result<Self, OutsideError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "failed to read an authority of this machine");
        }
        roots.add_parsable_certificates(native.certs);
        for path in authorities {
            add(&mut roots, path)?;
        }
        Self::trusting(roots, proxy)
    }

    /// Trusts nobody: every TLS connection that is not passed through fails.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn untrusting() -> Result<Self, OutsideError> {
        Self::trusting(RootCertStore::empty(), None)
    }

    fn trusting(roots: RootCertStore, proxy: Option<UpstreamProxy>) -> Result<Self, OutsideError> {
        let http1 = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http2 = http1.clone();
        http2.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        Ok(Self {
            http1: Arc::new(http1),
            http2: Arc::new(http2),
            proxy: proxy.map(Arc::new),
        })
    }

    /// Whether names that do not resolve here may be asked for: the proxy resolves them.
    pub(crate) fn resolves(&self) -> bool {
        self.proxy.is_some()
    }

    /// Connects to the first of `addresses` that answers; with none of them, to the name, by the
    /// proxy.
    pub(crate) async fn connect(&self, target: &Target, addresses: &[IpAddr]) -> io::Result<Wire> {
        if let Some(proxy) = &self.proxy
            && !addresses.iter().any(|&address| is_near(address))
        {
            return self.connect_by(proxy, target).await;
        }
        connect(addresses, target.port).await.map(Wire::Tcp)
    }

    async fn connect_by(&self, proxy: &UpstreamProxy, target: &Target) -> io::Result<Wire> {
        let stream = proxy.connect().await?;
        let mut wire = if proxy.tls {
            let stream = self.secure(stream, &proxy.target, false).await?;
            Wire::Tls(Box::new(stream))
        } else {
            Wire::Tcp(stream)
        };
        let asking = proxy.ask(&mut wire, target);
        tokio::time::timeout(limits::GATEWAY_CONNECT_TIMEOUT, asking).await??;
        Ok(wire)
    }

    /// Speaks TLS on `stream` with whoever proves to be `target`.
    pub(crate) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        target: &Target,
        http2: bool,
    ) -> io::Result<TlsStream<BufReader<S>>> {
        let name = match &target.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let config = if http2 { &self.http2 } else { &self.http1 };
        // rustls reads 4 KiB at a time.
        let stream = BufReader::with_capacity(limits::GATEWAY_BUFFER_BYTES, stream);
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        tokio::time::timeout(limits::GATEWAY_CONNECT_TIMEOUT, handshake).await?
    }
}

/// Whether `address` is one that an operator opened: no proxy leads there.
fn is_near(address: IpAddr) -> bool {
    reach(address) != Reach::Public || interfaces::is_own(address)
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), OutsideError> {
    let failed = |source| OutsideError::Certificates {
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    if added == 0 || ignored > 0 {
        return Err(OutsideError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(())
}

async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in addresses {
        let attempt = TcpStream::connect(SocketAddr::new(address, port));
        match tokio::time::timeout(limits::GATEWAY_CONNECT_TIMEOUT, attempt).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

impl UpstreamProxy {
    /// Reads `http://[USER:PASSWORD@]HOST:PORT`, or `https://` of a proxy that is spoken to over TLS.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn parse(url: &str) -> Result<Self, OutsideError> {
        let url = url::Url::parse(url).map_err(|_| OutsideError::Proxy)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let (tls, default_port) = match url.scheme() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(OutsideError::Proxy),
        };
        let (true, Some(host)) = (bare, url.host_str()) else {
            return Err(OutsideError::Proxy);
        };
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| OutsideError::Proxy)
        };
        let user = decode(url.username())?;
        let password = decode(url.password().unwrap_or_default())?;
        let credentials =
            (!user.is_empty()).then(|| SecretString::from(format!("{user}:{password}")));
        Ok(Self {
            target: Target {
                host: Host::parse(host).map_err(|_| OutsideError::Proxy)?,
                port: url.port().unwrap_or(default_port),
            },
            tls,
            credentials,
        })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let Target { host, port } = &self.target;
        let stream = match host {
            Host::Address(address) => connect(&[*address], *port).await?,
            Host::Domain(name) => {
                let attempt = TcpStream::connect((name.as_str(), *port));
                tokio::time::timeout(limits::GATEWAY_CONNECT_TIMEOUT, attempt).await??
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn ask(&self, stream: &mut Wire, target: &Target) -> io::Result<()> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            let encoded = STANDARD.encode(credentials.expose_secret());
            request += &format!("Proxy-Authorization: Basic {encoded}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        // One byte at a time: what follows the head is the tunnel's.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == limits::GATEWAY_HEAD_MAX_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            head.push(stream.read_u8().await?);
        }
        let status = head.split(|&byte| byte == b' ').nth(1);
        match status {
            Some([b'2', _, _]) => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the upstream proxy refuses",
            )),
        }
    }
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamProxy")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_a_plain_url() {
        let shown = |url| UpstreamProxy::parse(url).map(|proxy| proxy.target.to_string());
        assert_eq!(shown("http://proxy.corp:3128").unwrap(), "proxy.corp:3128");
        assert_eq!(shown("http://u:p%40@10.0.0.1/").unwrap(), "10.0.0.1:80");
        assert_eq!(shown("https://proxy.corp").unwrap(), "proxy.corp:443");
        for wrong in [
            "",
            "proxy:3128",
            "socks5://proxy:1080",
            "http://proxy:3128/path",
            "http://proxy:3128/?a",
        ] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_of_a_proxy_are_never_shown() {
        let proxy = UpstreamProxy::parse("http://someone:hunter2@proxy:3128").unwrap();
        assert_eq!(
            proxy.credentials.as_ref().unwrap().expose_secret(),
            "someone:hunter2"
        );
        assert!(!format!("{proxy:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = std::env::temp_dir().join(format!("vm0-no-authority-{}", std::process::id()));
        std::fs::write(&file, "nothing").unwrap();
        let refused = Outside::new(std::slice::from_ref(&file), None);
        assert!(matches!(refused, Err(OutsideError::NoCertificate { .. })));
        std::fs::remove_file(&file).unwrap();
        let refused = Outside::new(&[file], None);
        assert!(matches!(refused, Err(OutsideError::Certificates { .. })));
    }
}
