//! Signing in from a terminal: the calls that get a token instead of needing one (CLI 9).

use reqwest::Method;
use secrecy::SecretString;
use vm0_model::wire::auth::{DeviceCode, DeviceFault, DeviceToken, DeviceTokenRequest};

use crate::error::ClientError;
use crate::http::Http;
use crate::retry::Retry;
use crate::server_url::ServerUrl;

/// The device authorization grant (RFC 8628) of one server.
#[derive(Debug, Clone)]
pub struct DeviceClient {
    http: Http,
}

impl DeviceClient {
    /// A client of `server`.
    ///
    /// # Errors
    /// `Setup` if the TLS roots of this machine cannot be read.
    pub fn new(server: ServerUrl) -> Result<Self, ClientError> {
        Ok(Self {
            http: Http::new(server, SecretString::default())?,
        })
    }

    /// Begins to ask.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn device_create(&self) -> Result<DeviceCode, ClientError> {
        let path = ["api", "cli", "auth", "device"];
        let call = self.http.call_open(Method::POST, &path);
        self.http.json(&call, Retry::Never).await
    }

    /// Asks for the token of a code, once; why not, if there is none.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn device_redeem(
        &self,
        device_code: &str,
    ) -> Result<Result<DeviceToken, DeviceFault>, ClientError> {
        let body = DeviceTokenRequest {
            device_code: device_code.to_owned(),
        };
        let path = ["api", "cli", "auth", "token"];
        let call = self.http.call_open(Method::POST, &path).body_json(&body)?;
        match self.http.json(&call, Retry::Never).await {
            Ok(token) => Ok(Ok(token)),
            Err(ClientError::Device { fault }) => Ok(Err(fault)),
            Err(error) => Err(error),
        }
    }
}
