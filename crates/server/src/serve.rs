//! Starting a server, and ending it in two steps.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use url::Url;
use vm0_blob::{ArchiveCache, Blobs};
use vm0_model::limits;
use vm0_store::{SecretStore, SqliteStore};

use crate::app::{
    App, AuthLimit, Context, Execs, ObjectCount, Phase, Settings, TokenUse, Tries, Wakeups,
};
use crate::config::{ServerConfig, StartError};
use crate::data_dir::{DataDir, DataDirLock};
use crate::keys::Keys;
use crate::monitor::Meters;
use crate::tls::{Tls, TlsError};
use crate::{background, connections, http};

/// Requests in flight have this long to finish when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Stored secrets by which the key file is known to be the right one.
const SECRET_SAMPLE: u32 = 8;

/// The server.
#[derive(Debug)]
pub struct Server;

/// A server that answers requests. Dropping it cuts everything off; [`RunningServer::stop`] does
/// not.
pub struct RunningServer {
    address: SocketAddr,
    local_address: Option<SocketAddr>,
    tls: Option<Tls>,
    app: App,
    stop: watch::Sender<bool>,
    connections: JoinHandle<()>,
    aborted_on_drop: AbortHandle,
    background: JoinSet<()>,
    _lock: DataDirLock,
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the data directory and answers requests when it returns.
    ///
    /// # Errors
    ///
    /// When the data directory is in use or not usable, a key file is unsafe or not that of the
    /// stored secrets, the database is of a newer release, or the address cannot be listened on.
    pub async fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        let directory = DataDir::open(&config.data_dir)?;
        let lock = directory.lock()?;
        let store = SqliteStore::open(&directory.database()).await?;
        let secrets = store.secret_sample(SECRET_SAMPLE).await?;
        let keys = Keys::open(&directory.keys(), &secrets)?;
        let blobs = Blobs::local(&directory.objects())?;
        let archives = ArchiveCache::open(&directory.archives(), limits::ARCHIVE_CACHE_MAX_BYTES)?;
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let listen = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let wakeups = Arc::new(Wakeups::default());
        let app = App::new(Context {
            store: Arc::new(store),
            blobs,
            archives,
            keys,
            execs: Arc::new(Execs::new(Arc::clone(&wakeups))),
            wakeups,
            token_use: TokenUse::default(),
            device_starts: Tries::new(limits::DEVICE_STARTS_MAX, limits::DEVICE_STARTS_WINDOW),
            code_tries: Tries::new(limits::USER_CODE_TRIES_MAX, limits::USER_CODE_TRIES_WINDOW),
            auth_limit: AuthLimit::new(config.auth_failures_max),
            meters: Meters::new(),
            object_count: ObjectCount::default(),
            settings: settings(&config, address),
            phase: watch::Sender::new(Phase::Serving),
        });
        let (stop, stopped) = watch::channel(false);
        let router = http::router(app.clone());
        let local = match &tls {
            Some(_) if config.builtin_runner_token.is_some() => Some(local_listener().await?),
            _ => None,
        };
        let local_address = local.as_ref().map(|(_, address)| *address);
        let serving = connections::serve(listener, router, tls.clone(), stopped.clone());
        let connections = match local {
            None => tokio::spawn(serving),
            Some((listener, _)) => {
                let router = http::runner_router(app.clone());
                let local = connections::serve(listener, router, None, stopped);
                tokio::spawn(async {
                    tokio::join!(serving, local);
                })
            }
        };
        let background = background::start(&app, tls.clone());
        let aborted_on_drop = connections.abort_handle();
        Ok(RunningServer {
            address,
            local_address,
            tls,
            app,
            stop,
            connections,
            aborted_on_drop,
            background,
            _lock: lock,
        })
    }
}

async fn local_listener() -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    Ok((listener, address))
}

const fn scheme(has_tls: bool) -> &'static str {
    if has_tls { "https" } else { "http" }
}

fn settings(config: &ServerConfig, address: SocketAddr) -> Settings {
    let public_url = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{}://{address}", scheme(config.tls.is_some())),
    };
    let public_origin = Url::parse(&public_url).map_or_else(
        |_| public_url.clone(),
        |url| url.origin().ascii_serialization(),
    );
    Settings {
        public_url,
        public_origin,
        has_tls: config.tls.is_some(),
        first_user_name: config.first_user_name.clone(),
        concurrent_run_limit: config.concurrent_run_limit,
        builtin_runner_token: config
            .builtin_runner_token
            .as_ref()
            .map(|token| token.hash()),
        device_code_ttl: config.device_code_ttl,
        version_max_bytes: config.version_max_bytes,
        version_max_entries: config.version_max_entries,
        gc_interval: config.gc_interval,
        gc_grace: config.gc_grace,
    }
}

impl RunningServer {
    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scheme and address.
    pub fn url(&self) -> String {
        format!("{}://{}", scheme(self.tls.is_some()), self.address)
    }

    /// Where the runner in this process reaches the server: with TLS an address of this machine at
    /// which only the API of runners is served, without TLS, because no certificate is of it.
    pub const fn runner_address(&self) -> SocketAddr {
        match self.local_address {
            Some(address) => address,
            None => self.address,
        }
    }

    /// Uses the certificate files as they are now for new connections; whether they have changed.
    ///
    /// # Errors
    ///
    /// When they cannot be used; those in use then stay in use.
    pub fn tls_reload(&self) -> Result<bool, TlsError> {
        self.tls.as_ref().map_or(Ok(false), Tls::reload)
    }

    /// The address by which the first user signs in, once; none if there is a user already. Each
    /// call makes the one before void.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn first_link(&self) -> Result<Option<String>, StartError> {
        Ok(self.app.first_link_create().await?)
    }

    /// From now on the public API answers 503 and no run is given out. Open event streams go on,
    /// and so does what runners say about the runs they have.
    pub fn stop_accepting(&self) {
        self.app.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
    }

    /// Ends event streams and waiting calls, lets requests in flight finish, and closes.
    pub async fn stop(mut self) {
        self.app.phase.send_replace(Phase::Stopped);
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_GRACE, &mut self.connections)
            .await
            .is_err()
        {
            tracing::warn!("requests were cut off, they took too long");
        }
        self.background.shutdown().await;
        background::record_all_token_use(&self.app).await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.aborted_on_drop.abort();
    }
}
