//! One request and its answer: the address, the token, the time limit, the error body.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode, Upgraded};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::io::ReaderStream;
use url::Url;
use vm0_model::error::ErrorBody;
use vm0_model::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
use vm0_model::wire::auth::DeviceRefusal;

use crate::error::ClientError;
use crate::retry::Retry;
use crate::roots;
use crate::server_url::ServerUrl;

/// The server answers within this time (CLI 1.5).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An upload gets the time that a line of this many bytes a second needs.
const SLOWEST_UPLOAD_BYTES_PER_SECOND: u64 = 64 << 10;
/// An error body longer than this is not of our form.
const ERROR_BODY_MAX_BYTES: usize = 64 << 10;

/// A connection pool to one server with the token for it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pool: reqwest::Client,
    /// For connections that become something else, which HTTP/2 has none of.
    upgrades: Arc<OnceLock<reqwest::Client>>,
    server: ServerUrl,
    token: Arc<SecretString>,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, streamed.
    File(std::path::PathBuf),
}

/// A request that can be sent more than once.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    url: Url,
    authorized: bool,
    headers: Vec<(&'static str, String)>,
    content: Option<(&'static str, Body)>,
    answer_timeout: Duration,
}

impl Http {
    /// Makes a pool for `server`.
    pub(crate) fn new(server: ServerUrl, token: SecretString) -> Result<Self, ClientError> {
        let builder = builder(server.is_loopback()).pool_idle_timeout(Duration::from_secs(60));
        Ok(Self {
            pool: build(builder)?,
            upgrades: Arc::default(),
            server,
            token: Arc::new(token),
        })
    }

    pub(crate) fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// A call of the API below the server's address.
    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Call {
        Call::new(method, self.server.join(segments), true)
    }

    /// A call of the server that needs no token.
    pub(crate) fn call_open(&self, method: Method, segments: &[&str]) -> Call {
        Call::new(method, self.server.join(segments), false)
    }

    /// A call of a signed address, which needs no token.
    pub(crate) fn call_signed(&self, method: Method, url: &str) -> Result<Call, ClientError> {
        let url = Url::parse(url).map_err(|source| ClientError::Protocol {
            call: "the upload".to_owned(),
            source: source.into(),
        })?;
        Ok(Call::new(method, url, false))
    }

    /// Sends and reads a JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        call: &Call,
        retry: Retry,
    ) -> Result<T, ClientError> {
        let bytes = self.bytes(call, retry).await?;
        serde_json::from_slice(&bytes).map_err(|source| call.protocol(source))
    }

    /// Sends and reads an answer of bytes; a broken answer counts as a broken connection.
    pub(crate) async fn bytes(&self, call: &Call, retry: Retry) -> Result<Bytes, ClientError> {
        let mut tries = retry.tries();
        loop {
            match self.bytes_once(call).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => tries.wait_after(error).await?,
            }
        }
    }

    /// Sends and gives the answer once its head is there.
    pub(crate) async fn response(
        &self,
        call: &Call,
        retry: Retry,
    ) -> Result<Response, ClientError> {
        let mut tries = retry.tries();
        loop {
            match self.send_once(call).await {
                Ok(response) => return Ok(response),
                Err(error) => tries.wait_after(error).await?,
            }
        }
    }

    /// Sends and gives the connection, once the server agrees that it becomes something else.
    pub(crate) async fn upgrade(&self, call: &Call) -> Result<(HeaderMap, Upgraded), ClientError> {
        let mut request = self
            .upgrading()?
            .request(call.method.clone(), call.url.clone())
            .bearer_auth(self.token.expose_secret());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let limit = call.answer_timeout;
        let sent = tokio::time::timeout(limit, request.send()).await;
        let mut response = match sent {
            Ok(result) => result.map_err(|error| self.unreachable(error))?,
            Err(_) => return Err(self.timeout(limit)),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(api_error(response).await);
        }
        let headers = std::mem::take(response.headers_mut());
        let upgraded = response.upgrade().await;
        let upgraded = upgraded.map_err(|error| self.unreachable(error))?;
        Ok((headers, upgraded))
    }

    fn upgrading(&self) -> Result<&reqwest::Client, ClientError> {
        if let Some(pool) = self.upgrades.get() {
            return Ok(pool);
        }
        let builder = builder(self.server.is_loopback())
            .http1_only()
            .tcp_keepalive(KEEPALIVE_IDLE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES);
        let pool = build(builder)?;
        Ok(self.upgrades.get_or_init(|| pool))
    }

    async fn bytes_once(&self, call: &Call) -> Result<Bytes, ClientError> {
        let response = self.send_once(call).await?;
        let limit = call.answer_timeout;
        match tokio::time::timeout(limit, response.bytes()).await {
            Ok(result) => result.map_err(|error| self.unreachable(error)),
            Err(_) => Err(self.timeout(limit)),
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Response, ClientError> {
        let request = self.request(call).await?;
        let started = Instant::now();
        let limit = call.answer_timeout;
        let sent = tokio::time::timeout(limit, request.send()).await;
        let response = match sent {
            Ok(result) => result.map_err(|error| self.unreachable(error))?,
            Err(_) => return Err(self.timeout(limit)),
        };
        tracing::debug!(
            "{} {} -> {} ({} ms)",
            call.method,
            call.url.path(),
            response.status().as_u16(),
            started.elapsed().as_millis()
        );
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(api_error(response).await)
        }
    }

    async fn request(&self, call: &Call) -> Result<RequestBuilder, ClientError> {
        let mut request = self.pool.request(call.method.clone(), call.url.clone());
        if call.authorized {
            request = request.bearer_auth(self.token.expose_secret());
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        match &call.content {
            None => Ok(request),
            Some((kind, Body::Bytes(bytes))) => {
                Ok(request.header(CONTENT_TYPE, *kind).body(bytes.clone()))
            }
            Some((kind, Body::File(path))) => {
                let error = |source| file_error(path, source);
                let file = tokio::fs::File::open(path).await.map_err(error)?;
                let length = file.metadata().await.map_err(error)?.len();
                let stream = ReaderStream::with_capacity(file, 128 << 10);
                Ok(request
                    .header(CONTENT_TYPE, *kind)
                    .header(CONTENT_LENGTH, length)
                    .body(reqwest::Body::wrap_stream(stream)))
            }
        }
    }

    pub(crate) fn unreachable(&self, error: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            server: self.server.to_string(),
            source: root_of(error.without_url()),
        }
    }

    pub(crate) fn timeout(&self, limit: Duration) -> ClientError {
        ClientError::Timeout {
            server: self.server.to_string(),
            limit,
        }
    }
}

impl Call {
    fn new(method: Method, url: Url, authorized: bool) -> Self {
        Self {
            method,
            url,
            authorized,
            headers: Vec::new(),
            content: None,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    /// Adds a query value, if there is one.
    pub(crate) fn query(mut self, key: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.url
                .query_pairs_mut()
                .append_pair(key, &value.to_string());
        }
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends `value` as JSON.
    pub(crate) fn body_json(self, value: &impl Serialize) -> Result<Self, ClientError> {
        let bytes = serde_json::to_vec(value).map_err(|source| self.protocol(source))?;
        Ok(self.body("application/json", Body::Bytes(bytes.into()), 0))
    }

    /// Sends `body` of `length` bytes; a long one gets more time.
    pub(crate) fn body(mut self, kind: &'static str, body: Body, length: u64) -> Self {
        self.answer_timeout += Duration::from_secs(length / SLOWEST_UPLOAD_BYTES_PER_SECOND);
        self.content = Some((kind, body));
        self
    }

    /// Waits this long beyond the usual time, for calls that the server answers late.
    pub(crate) fn wait(mut self, longer: Duration) -> Self {
        self.answer_timeout += longer;
        self
    }

    pub(crate) fn protocol(&self, source: impl Error + Send + Sync + 'static) -> ClientError {
        ClientError::Protocol {
            call: format!("{} {}", self.method, self.url.path()),
            source: Box::new(source),
        }
    }
}

/// What every client has; proxies of the environment are not used for this machine.
pub(crate) fn builder(loopback: bool) -> ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("vm0/", env!("CARGO_PKG_VERSION")))
        .tls_certs_merge(roots::extra())
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT);
    match loopback {
        true => builder.no_proxy(),
        false => builder,
    }
}

fn build(builder: ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder.build().map_err(|source| ClientError::Setup {
        source: source.into(),
    })
}

/// The error of a file on this machine.
pub(crate) fn file_error(path: &Path, source: std::io::Error) -> ClientError {
    ClientError::File {
        path: path.display().to_string(),
        source,
    }
}

/// The last cause of a transport error: the others only repeat that sending failed.
pub(crate) fn root_of(error: reqwest::Error) -> Box<dyn Error + Send + Sync> {
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().into()
}

async fn api_error(mut response: Response) -> ClientError {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BODY_MAX_BYTES {
            break;
        }
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { error }) => ClientError::Api {
            status: status.as_u16(),
            kind: error.kind,
            code: error.code,
            message: error.message,
            param: error.param,
        },
        Err(_) => match serde_json::from_slice::<DeviceRefusal>(&body) {
            Ok(DeviceRefusal { error }) => ClientError::Device { fault: error },
            Err(_) => foreign_error(status),
        },
    }
}

/// The error of an answer that is not of our form, as a proxy gives it.
fn foreign_error(status: StatusCode) -> ClientError {
    ClientError::Api {
        status: status.as_u16(),
        kind: "api_error".to_owned(),
        code: format!("http_{}", status.as_u16()),
        message: format!("The server answered {status}"),
        param: None,
    }
}
