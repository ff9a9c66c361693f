//! Stored variables (API 11).

use reqwest::Method;
use vm0_model::wire::page::Page;
use vm0_model::wire::variables::{Variable, VariablePut};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// A page of variables, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn variable_list(&self, page: &PageQuery) -> Result<Page<Variable>, ClientError> {
        let call = page.on(self.http.call(Method::GET, &["v1", "variables"]));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One variable.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn variable_view(&self, name: &str) -> Result<Variable, ClientError> {
        let call = self.http.call(Method::GET, &["v1", "variables", name]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Stores a variable, in the place of an earlier one of the name.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn variable_put(
        &self,
        name: &str,
        body: &VariablePut,
    ) -> Result<Variable, ClientError> {
        let call = self
            .http
            .call(Method::PUT, &["v1", "variables", name])
            .body_json(body)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Deletes a variable.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn variable_delete(&self, name: &str) -> Result<(), ClientError> {
        let call = self.http.call(Method::DELETE, &["v1", "variables", name]);
        self.http
            .bytes(&call, Retry::WhenUnreachable)
            .await
            .map(drop)
    }
}
