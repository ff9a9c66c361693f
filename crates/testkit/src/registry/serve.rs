//! The registry on a port of the loopback interface, and a second server that it redirects to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::image::{INDEX, MANIFEST, TestImage, digest};

const TOKEN: &str = "token-of-the-registry";

/// What a registry wants to know of those who ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Nothing.
    None,
    /// `NAME:PASSWORD` with each request.
    Basic(String),
    /// A token; everybody gets one.
    OpenToken,
    /// A token, for which `NAME:PASSWORD` is wanted, or that text as a refresh token.
    Token(String),
}

/// What is wrong with an answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Other bytes than the digest says, as many.
    Changed,
    /// The connection breaks after this many bytes, so many times.
    Cut {
        /// Bytes that come.
        after: usize,
        /// Answers that are cut.
        times: usize,
    },
    /// This many bytes, and then nothing happens.
    Stalled(usize),
    /// It never ends.
    Endless,
    /// This many bytes too many.
    Longer(usize),
}

/// Which server was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedOf {
    /// The registry, its tokens included.
    Registry,
    /// Where it redirects to.
    Elsewhere,
}

/// A request as one of the servers received it.
#[derive(Debug, Clone)]
pub struct RegistryRequest {
    /// Which.
    pub of: AskedOf,
    /// `Path?query`.
    pub path: String,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Range`.
    pub range: Option<String>,
}

/// A running registry; it ends with the runtime of its test.
#[derive(Debug, Clone)]
pub struct RegistryServer {
    port: u16,
    elsewhere: u16,
    state: Arc<Mutex<Contents>>,
}

#[derive(Debug)]
struct Contents {
    /// By `REPOSITORY/TAG or digest`: media type and content.
    manifests: HashMap<String, (&'static str, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
    faults: HashMap<String, Fault>,
    sign_in: SignIn,
    redirects: bool,
    requests: Vec<RegistryRequest>,
}

impl RegistryServer {
    /// Starts an empty one on a free port.
    pub async fn start(sign_in: SignIn) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let listener = bind().await.expect("a free port");
        let elsewhere = bind().await.expect("a free port");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let server = Self {
            port: port(&listener),
            elsewhere: port(&elsewhere),
            state: Arc::new(Mutex::new(Contents {
                manifests: HashMap::new(),
                blobs: HashMap::new(),
                faults: HashMap::new(),
                sign_in,
                redirects: false,
                requests: Vec::new(),
            })),
        };
        for (listener, of) in [
            (listener, AskedOf::Registry),
            (elsewhere, AskedOf::Elsewhere),
        ] {
            let state = (server.clone(), of);
            let router = Router::new().fallback(handle).with_state(state);
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        server
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts an image under a name and gives its reference.
    pub fn add(&self, repository: &str, tag: &str, image: &TestImage) -> String {
        self.add_manifest(repository, tag, MANIFEST, image.manifest.clone());
        let mut state = self.lock();
        for blob in &image.blobs {
            state.blobs.insert(digest(blob), blob.clone());
        }
        format!("{}/{repository}:{tag}", self.host())
    }

    /// Puts an index of images under a name and gives its reference and digest.
    pub fn add_index(
        &self,
        repository: &str,
        tag: &str,
        images: &[&TestImage],
    ) -> (String, String) {
        for image in images {
            self.add(repository, &image.digest(), image);
        }
        let entries: Vec<Value> = images.iter().map(|image| image.entry()).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        let index = index.to_string().into_bytes();
        let digest = digest(&index);
        self.add_manifest(repository, tag, INDEX, index);
        (format!("{}/{repository}:{tag}", self.host()), digest)
    }

    /// Puts any bytes under a name, and under their digest.
    pub fn add_manifest(&self, repository: &str, tag: &str, kind: &'static str, manifest: Vec<u8>) {
        let by_digest = format!("{repository}/{}", digest(&manifest));
        let manifests = &mut self.lock().manifests;
        manifests.insert(by_digest, (kind, manifest.clone()));
        manifests.insert(format!("{repository}/{tag}"), (kind, manifest));
    }

    /// From now on the answer with this tag or digest, or `token`, is wrong.
    pub fn fault(&self, of: &str, fault: Fault) {
        self.lock().faults.insert(of.to_owned(), fault);
    }

    /// All answers are right again.
    pub fn mend(&self) {
        self.lock().faults.clear();
    }

    /// From now on layers are elsewhere.
    pub fn redirect(&self) {
        self.lock().redirects = true;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<RegistryRequest> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to those who may not.
    fn refuse(&self, headers: &HeaderMap, path: &str) -> Option<Response> {
        let given = authorization(headers);
        let (wanted, challenge) = match &self.lock().sign_in {
            SignIn::None => return None,
            SignIn::Basic(pair) => (basic(pair), r#"Basic realm="registry""#.to_owned()),
            SignIn::OpenToken | SignIn::Token(_) => {
                let repository = path.trim_start_matches("/v2/").rsplitn(3, '/').last();
                let challenge = format!(
                    "Bearer realm=\"http://{}/token\",service=\"test\",\
                     scope=\"repository:{}:pull\"",
                    self.host(),
                    repository.unwrap_or_default(),
                );
                (format!("Bearer {TOKEN}"), challenge)
            }
        };
        if given.as_deref() == Some(wanted.as_str()) {
            return None;
        }
        let challenge = [(header::WWW_AUTHENTICATE, challenge)];
        Some((StatusCode::UNAUTHORIZED, challenge, "{}").into_response())
    }

    fn token(&self, headers: &HeaderMap, uri: &Uri, body: &str) -> Response {
        let query = uri.query().unwrap_or_default();
        let query = if query.is_empty() { body } else { query };
        if !query.contains("service=test") || !query.contains("scope=repository%3A") {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let admitted = match &self.lock().sign_in {
            SignIn::Token(pair) => {
                let refresh = format!("refresh_token={}", pair.replace(':', "%3A"));
                authorization(headers) == Some(basic(pair)) || body.contains(&refresh)
            }
            _ => true,
        };
        if !admitted {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let token = json!({ "token": TOKEN, "expires_in": 300 }).to_string();
        self.answer("token", "application/json", token.as_bytes(), headers)
    }

    fn answer(&self, name: &str, kind: &str, content: &[u8], headers: &HeaderMap) -> Response {
        let from = range(headers)
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .filter(|from| *from <= content.len());
        let part = content[from.unwrap_or(0)..].to_vec();
        let mut response = match self.fault_of(name) {
            None => Body::from(part),
            Some(Fault::Changed) => Body::from(part.iter().map(|byte| !byte).collect::<Vec<_>>()),
            Some(Fault::Longer(bytes)) => {
                let more = vec![b' '; bytes];
                Body::from([part, more].concat())
            }
            Some(Fault::Cut { after, .. }) => {
                let end = stream::once(async {
                    // What was begun is sent only when there is nothing else to do.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(std::io::Error::other("cut"))
                });
                Body::from_stream(beginning(part, after).map(Ok).chain(end))
            }
            Some(Fault::Stalled(after)) => {
                let begun = beginning(part, after).map(Ok::<_, Infallible>);
                Body::from_stream(begun.chain(stream::pending()))
            }
            Some(Fault::Endless) => {
                let piece = Bytes::from(vec![b' '; 64 << 10]);
                Body::from_stream(stream::repeat(Ok::<_, Infallible>(piece)))
            }
        }
        .into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind.parse().expect("a media type"));
        if let Some(from) = from {
            let last = content.len().saturating_sub(1);
            let range = format!("bytes {from}-{last}/{}", content.len());
            headers.insert(header::CONTENT_RANGE, range.parse().expect("a range"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    fn fault_of(&self, name: &str) -> Option<Fault> {
        let faults = &mut self.lock().faults;
        match faults.get_mut(name) {
            Some(Fault::Cut { times: 0, .. }) => None,
            Some(fault) => {
                let now = fault.clone();
                if let Fault::Cut { times, .. } = fault {
                    *times -= 1;
                }
                Some(now)
            }
            None => None,
        }
    }

    fn blob(&self, name: &str, headers: &HeaderMap) -> Response {
        let content = self.lock().blobs.get(name).cloned();
        match content {
            Some(content) => self.answer(name, "application/octet-stream", &content, headers),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn manifest(&self, repository: &str, version: &str, headers: &HeaderMap) -> Response {
        let name = format!("{repository}/{version}");
        let found = self.lock().manifests.get(&name).cloned();
        let Some((kind, content)) = found else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let mut response = self.answer(version, kind, &content, headers);
        let name = digest(&content).parse().expect("a digest is visible ASCII");
        response.headers_mut().insert("docker-content-digest", name);
        response
    }
}

async fn handle(
    State((server, of)): State<(RegistryServer, AskedOf)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    server.lock().requests.push(RegistryRequest {
        of,
        path: path.to_owned(),
        authorization: authorization(&headers),
        range: range(&headers).map(str::to_owned),
    });
    let path = uri.path();
    if of == AskedOf::Elsewhere {
        return server.blob(path.trim_start_matches('/'), &headers);
    }
    if path == "/token" {
        return server.token(&headers, &uri, &body);
    }
    if let Some(refused) = server.refuse(&headers, path) {
        return refused;
    }
    let mut parts = path.trim_start_matches("/v2/").rsplitn(3, '/');
    let (version, kind, repository) = (parts.next(), parts.next(), parts.next());
    match (method, kind, version, repository) {
        (Method::GET, Some("manifests"), Some(version), Some(repository)) => {
            server.manifest(repository, version, &headers)
        }
        (Method::GET, Some("blobs"), Some(name), Some(_)) if server.lock().redirects => {
            let place = format!("http://127.0.0.1:{}/{name}", server.elsewhere);
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response()
        }
        (Method::GET, Some("blobs"), Some(name), Some(_)) => server.blob(name, &headers),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn beginning(mut content: Vec<u8>, bytes: usize) -> impl Stream<Item = Bytes> + Send + 'static {
    content.truncate(bytes);
    stream::iter([Bytes::from(content)])
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.to_owned())
}

fn range(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::RANGE)?.to_str().ok()
}
