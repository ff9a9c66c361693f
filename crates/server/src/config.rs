//! What a server is started with, and why it may not start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use vm0_blob::BlobError;
use vm0_model::limits;
use vm0_model::token::TokenSecret;
use vm0_store::StoreError;

use crate::data_dir::DataDirError;
use crate::key_file::KeyError;
use crate::tls::{TlsError, TlsFiles};

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where everything is kept; made if it is missing.
    pub data_dir: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate for TLS; without one the server speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Base of links and signed URLs; scheme and address if not given.
    pub public_url: Option<String>,
    /// The name that is proposed to the first user.
    pub first_user_name: String,
    /// Pending and running runs per user; 0 means any number.
    pub concurrent_run_limit: u32,
    /// A runner token that is accepted without being stored: that of the runner in this process.
    pub builtin_runner_token: Option<TokenSecret>,
    /// Failed authentications of an address in a minute.
    pub auth_failures_max: u32,
    /// How long a program may wait for a user's approval.
    pub device_code_ttl: Duration,
    /// Bytes of one version.
    pub version_max_bytes: u64,
    /// Entries of one version.
    pub version_max_entries: usize,
    /// How often what nothing refers to is looked for.
    pub gc_interval: Duration,
    /// How long it is kept.
    pub gc_grace: Duration,
}

impl ServerConfig {
    /// The defaults for these two.
    pub fn new(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data_dir,
            listen,
            tls: None,
            public_url: None,
            first_user_name: "admin".to_owned(),
            concurrent_run_limit: 0,
            builtin_runner_token: None,
            auth_failures_max: limits::AUTH_FAILURES_MAX,
            device_code_ttl: limits::DEVICE_CODE_TTL,
            version_max_bytes: limits::VERSION_MAX_BYTES,
            version_max_entries: limits::VERSION_MAX_ENTRIES,
            gc_interval: limits::GC_INTERVAL,
            gc_grace: limits::GC_GRACE,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database cannot be opened.
    #[error("open the database")]
    Store(#[from] StoreError),
    /// The object store cannot be opened.
    #[error("open the object store")]
    Blobs(#[from] BlobError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}
