//! The client of the public API. Its operations are in the files of their resources.

use reqwest::Method;
use secrecy::SecretString;

use crate::error::ClientError;
use crate::http::Http;
use crate::retry::Retry;
use crate::server_url::ServerUrl;

/// The public API of one server, as one user. Cheap to clone.
///
/// GET, PUT, DELETE and `run_create` are tried three times while the server cannot be reached.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: Http,
}

impl Client {
    /// A client of `server` that authenticates with `token`.
    ///
    /// # Errors
    /// `Setup` if the TLS roots of this machine cannot be read.
    pub fn new(server: ServerUrl, token: SecretString) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(server, token)?,
        })
    }

    /// The server's address.
    pub fn server(&self) -> &ServerUrl {
        self.http.server()
    }

    /// Whether the server answers; asked once, without the token's being looked at.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn health(&self) -> Result<(), ClientError> {
        let call = self.http.call(Method::GET, &["health"]);
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }
}
