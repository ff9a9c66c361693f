//! Requests to one registry, and who asks: anonymously first, then as it wants to be told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::challenge::Challenge;
use super::error::RegistryError;
use super::login::Login;
use super::reference::Reference;
use crate::http;
use crate::retry::Retry;
use crate::server_url::ServerUrl;

/// A connection that stands still for this long has broken.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// A longer answer is no token.
const TOKEN_MAX_BYTES: u64 = 64 << 10;

/// Requests to one registry about one image.
#[derive(Debug)]
pub(super) struct Session {
    http: reqwest::Client,
    /// Follows no redirect: what it sends are credentials.
    tokens: reqwest::Client,
    server: ServerUrl,
    reference: Reference,
    login: Option<Login>,
    /// What the registry last wanted.
    authorization: Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session {
    pub(super) fn new(reference: Reference, login: Option<Login>) -> Result<Self, RegistryError> {
        let server = reference.server();
        let plain = server.is_plain();
        let setup = |source: reqwest::Error| RegistryError::Setup {
            source: source.into(),
        };
        let builder = || http::builder(server.is_loopback()).read_timeout(IDLE_TIMEOUT);
        let tokens = builder().redirect(redirect::Policy::none()).build();
        let http = builder()
            .referer(false)
            // What it goes on to another host with has no credentials: reqwest takes them off.
            .redirect(redirect::Policy::custom(move |attempt| {
                let to_tls = attempt.url().scheme() == "https";
                if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("it redirects too often")
                } else if to_tls || plain && is_loopback(attempt.url()) {
                    attempt.follow()
                } else {
                    attempt.error("it redirects to an address without TLS")
                }
            }))
            .build()
            .map_err(setup)?;
        Ok(Self {
            http,
            tokens: tokens.map_err(setup)?,
            server,
            reference,
            login,
            authorization: Mutex::default(),
        })
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(super) fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    /// Gets `v2/REPOSITORY/KIND/VERSION`; `what` it is, for people.
    pub(super) async fn get(
        &self,
        (kind, version): (&str, &str),
        headers: &HeaderMap,
        what: &str,
        retry: Retry,
    ) -> Result<Response, RegistryError> {
        let mut path = vec!["v2"];
        path.extend(self.reference.repository().split('/'));
        path.extend([kind, version]);
        let url = self.server.join(&path);
        let mut tries = retry.tries();
        loop {
            match self.get_once(&url, headers, what).await {
                Ok(response) => return Ok(response),
                Err(error) => tries.wait_if(error.is_unreachable(), error).await?,
            }
        }
    }

    async fn get_once(
        &self,
        url: &Url,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let response = self.send(url, headers).await?;
        // Only the registry itself is told who asks, not where it redirects to.
        let is_own = same_origin(response.url(), url);
        if response.status() != StatusCode::UNAUTHORIZED || !is_own {
            return self.checked(response, what);
        }
        let Some(challenge) = Challenge::of(response.headers()) else {
            return self.checked(response, what);
        };
        let authorization = self.authorize(challenge, what).await?;
        *self.lock() = Some(authorization);
        self.checked(self.send(url, headers).await?, what)
    }

    async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Response, RegistryError> {
        let mut request = self.http.get(url.clone()).headers(headers.clone());
        let authorization = self.lock().clone();
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let status = response.status().as_u16();
        tracing::debug!("GET {} -> {status}", url.path());
        Ok(response)
    }

    fn checked(&self, response: Response, what: &str) -> Result<Response, RegistryError> {
        let (what, registry) = (what.to_owned(), self.registry());
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(RegistryError::NotFound { what, registry }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(RegistryError::Denied {
                what,
                registry,
                signed_in: self.login.is_some(),
            }),
            status => Err(RegistryError::Status {
                what,
                registry,
                status: status.as_u16(),
            }),
        }
    }

    /// What the next request says about who asks.
    async fn authorize(
        &self,
        challenge: Challenge,
        what: &str,
    ) -> Result<HeaderValue, RegistryError> {
        let denied = || RegistryError::Denied {
            what: what.to_owned(),
            registry: self.registry(),
            signed_in: self.login.is_some(),
        };
        match challenge {
            Challenge::Basic => match &self.login {
                Some(Login::Password { user, password }) => Ok(basic(user, password)),
                _ => Err(denied()),
            },
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let own = format!("repository:{}:pull", self.reference.repository());
                let scope = scope.unwrap_or(own);
                let mut query = vec![("scope", scope.as_str())];
                query.extend(service.as_deref().map(|service| ("service", service)));
                let response = self.token_request(&realm, &query)?.send().await;
                let response = response.map_err(|error| self.broken(error))?;
                if response.status().is_client_error() {
                    return Err(denied());
                }
                let response = self.checked(response, "a token")?;
                let text = self.limited(response, TOKEN_MAX_BYTES, "a token").await?;
                self.bearer(&text)
            }
        }
    }

    /// The request of a token, from where the registry says: with TLS, or both on this machine.
    fn token_request(
        &self,
        realm: &str,
        query: &[(&str, &str)],
    ) -> Result<reqwest::RequestBuilder, RegistryError> {
        let realm = Url::parse(realm).ok().filter(|realm| {
            realm.scheme() == "https" || self.server.is_plain() && is_loopback(realm)
        });
        let Some(realm) = realm else {
            return Err(self.protocol("its tokens come from an address without TLS"));
        };
        Ok(match &self.login {
            None => self.tokens.get(realm).query(query),
            Some(Login::Password { user, password }) => {
                let request = self.tokens.get(realm).query(query);
                request.header(AUTHORIZATION, basic(user, password))
            }
            Some(Login::Identity(token)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token")
                    .append_pair("refresh_token", token.expose_secret())
                    .append_pair("client_id", "vm0")
                    .extend_pairs(query);
                let kind = "application/x-www-form-urlencoded";
                self.tokens
                    .post(realm)
                    .header(reqwest::header::CONTENT_TYPE, kind)
                    .body(form.finish())
            }
        })
    }

    fn bearer(&self, text: &[u8]) -> Result<HeaderValue, RegistryError> {
        let token: Option<Token> = serde_json::from_slice(text).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let Some(mut value) = value else {
            return Err(self.protocol("its answer has no token"));
        };
        value.set_sensitive(true);
        Ok(value)
    }

    /// The whole of an answer that has no more than `limit` bytes.
    pub(super) async fn limited(
        &self,
        mut response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                let what = what.to_owned();
                return Err(RegistryError::TooLarge { what, limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    pub(super) fn broken(&self, error: reqwest::Error) -> RegistryError {
        if error.is_redirect() {
            return self.protocol("it redirects too often, or to an address without TLS");
        }
        RegistryError::Unreachable {
            registry: self.registry(),
            source: http::root_of(error.without_url()),
        }
    }

    pub(super) fn protocol(&self, reason: &'static str) -> RegistryError {
        let registry = self.registry();
        RegistryError::Protocol { registry, reason }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        let lock = self.authorization.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

fn basic(user: &str, password: &SecretString) -> HeaderValue {
    let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
    let value = HeaderValue::try_from(format!("Basic {pair}"));
    let mut value = value.expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

fn is_loopback(url: &Url) -> bool {
    let server: Result<ServerUrl, _> = url.origin().ascii_serialization().parse();
    server.is_ok_and(|server| server.is_loopback())
}
