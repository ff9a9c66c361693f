//! Starting a server, and ending it in two steps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use url::Url;
use vm0_blob::{ArchiveCache, Blobs};
use vm0_model::limits;
use vm0_store::{SecretStore, SqliteStore};

use crate::app::{App, Context, Execs, ObjectCount, Phase, Settings, TokenUse, Tries, Wakeups};
use crate::config::{ServerConfig, StartError};
use crate::data_dir::{DataDir, DataDirLock};
use crate::keys::Keys;
use crate::monitor::Meters;
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
            meters: Meters::new(),
            object_count: ObjectCount::default(),
            settings: settings(&config, address),
            phase: watch::Sender::new(Phase::Serving),
        });
        let (stop, stopped) = watch::channel(false);
        let router = http::router(app.clone());
        let connections = tokio::spawn(connections::serve(listener, router, stopped));
        let background = background::start(&app);
        let aborted_on_drop = connections.abort_handle();
        Ok(RunningServer {
            address,
            app,
            stop,
            connections,
            aborted_on_drop,
            background,
            _lock: lock,
        })
    }
}

fn settings(config: &ServerConfig, address: SocketAddr) -> Settings {
    let public_url = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    };
    let public_origin = Url::parse(&public_url).map_or_else(
        |_| public_url.clone(),
        |url| url.origin().ascii_serialization(),
    );
    Settings {
        public_url,
        public_origin,
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

    /// `http://` and the address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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
