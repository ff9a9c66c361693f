//! TLS by certificate files, which may be replaced while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use vm0_model::limits;

/// Where the certificate of a server and its key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and after it those that lead to an authority.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Why the files are not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is too long for what it should be.
    #[error("accept {}: it is longer than {} bytes", path.display(), limits::TLS_FILE_MAX_BYTES)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file has something else in it.
    #[error("find {wanted} in {}", path.display())]
    Missing {
        /// What should be there.
        wanted: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not used together.
    #[error("use the certificate {} with the key {}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The protocol cannot be set up.
    #[error("set up TLS")]
    Setup(#[source] rustls::Error),
}

/// The certificate that is in use, and the files it came from. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    current: Arc<Current>,
    acceptor: TlsAcceptorDebug,
}

#[derive(Debug)]
struct Current {
    files: TlsFiles,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// What the files were when they were looked at last, used or not.
    seen: [u8; 32],
}

#[derive(Clone)]
struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl Tls {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let texts = Texts::read(&files)?;
        let key = texts.certified(&files, &provider)?;
        let current = Arc::new(Current {
            loaded: RwLock::new(Loaded {
                key: Arc::new(key),
                seen: texts.digest(),
            }),
            files,
        });
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Setup)?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            current,
            acceptor: TlsAcceptorDebug(TlsAcceptor::from(Arc::new(config))),
        })
    }

    /// What makes TLS of a connection.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor.0
    }

    /// Reads the files again and uses them for new connections if they have changed; whether they
    /// have. Those in use stay in use after an error, which is told once for each change.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        let files = &self.current.files;
        let texts = Texts::read(files)?;
        let seen = texts.digest();
        if self.current.read().seen == seen {
            return Ok(false);
        }
        let key = texts.certified(files, &ring::default_provider());
        let mut loaded = self
            .current
            .loaded
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        loaded.seen = seen;
        loaded.key = Arc::new(key?);
        Ok(true)
    }
}

impl Current {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.read().key))
    }
}

/// What the files hold.
struct Texts {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Texts {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update((self.cert.len() as u64).to_le_bytes());
        digest.update(&self.cert);
        digest.update(&self.key);
        digest.finalize().into()
    }

    fn certified(
        &self,
        files: &TlsFiles,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let missing = |wanted, path: &Path| TlsError::Missing {
            wanted,
            path: path.to_owned(),
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(missing("a certificate in PEM", &files.cert));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| missing("a private key in PEM", &files.key))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Pair {
            cert: files.cert.clone(),
            key: files.key.clone(),
            source,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limits::TLS_FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limits::TLS_FILE_MAX_BYTES {
        return Err(TlsError::TooLong {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}
