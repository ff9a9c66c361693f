//! Tokens of the user (API 12).

use reqwest::Method;
use vm0_model::id::TokenId;
use vm0_model::wire::page::Page;
use vm0_model::wire::tokens::{Token, TokenCreate, TokenCreated};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// A page of tokens, newest first, expired ones included.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn token_list(&self, page: &PageQuery) -> Result<Page<Token>, ClientError> {
        let call = page.on(self.http.call(Method::GET, &["v1", "tokens"]));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Makes a token. A second try would make a second one, so there is none.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn token_create(&self, body: &TokenCreate) -> Result<TokenCreated, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", "tokens"])
            .body_json(body)?;
        self.http.json(&call, Retry::Never).await
    }

    /// One token.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn token_view(&self, token: TokenId) -> Result<Token, ClientError> {
        let path = ["v1", "tokens", &token.to_string()];
        let call = self.http.call(Method::GET, &path);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Deletes a token, which may be the one of this client.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn token_delete(&self, token: TokenId) -> Result<(), ClientError> {
        let path = ["v1", "tokens", &token.to_string()];
        let call = self.http.call(Method::DELETE, &path);
        self.http
            .bytes(&call, Retry::WhenUnreachable)
            .await
            .map(drop)
    }
}
