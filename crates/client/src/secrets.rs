//! Stored secrets (API 11).

use reqwest::Method;
use vm0_model::wire::page::Page;
use vm0_model::wire::secrets::{Secret, SecretPut};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// A page of secrets, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn secret_list(&self, page: &PageQuery) -> Result<Page<Secret>, ClientError> {
        let call = page.on(self.http.call(Method::GET, &["v1", "secrets"]));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One secret, without its value.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn secret_view(&self, name: &str) -> Result<Secret, ClientError> {
        let call = self.http.call(Method::GET, &["v1", "secrets", name]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Stores a secret, in the place of an earlier one of the name.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn secret_put(&self, name: &str, body: &SecretPut) -> Result<Secret, ClientError> {
        let call = self
            .http
            .call(Method::PUT, &["v1", "secrets", name])
            .body_json(body)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Deletes a secret.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn secret_delete(&self, name: &str) -> Result<(), ClientError> {
        let call = self.http.call(Method::DELETE, &["v1", "secrets", name]);
        self.http
            .bytes(&call, Retry::WhenUnreachable)
            .await
            .map(drop)
    }
}
