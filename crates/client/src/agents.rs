//! Agents and their versions (API 3).

use reqwest::Method;
use vm0_model::id::AgentId;
use vm0_model::wire::agents::{Agent, AgentDetail, AgentPut, AgentVersion};
use vm0_model::wire::page::Page;

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// Creates the agent that the configuration names, or a version of it. Sending the same
    /// content again changes nothing, so it is repeated like a PUT.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_put(&self, body: &AgentPut) -> Result<AgentDetail, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", "agents"])
            .body_json(body)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Makes the configuration the head of this agent, which must have the name in it.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_put_by_id(
        &self,
        agent: AgentId,
        body: &AgentPut,
    ) -> Result<AgentDetail, ClientError> {
        let call = self
            .http
            .call(Method::PUT, &["v1", "agents", &agent.to_string()])
            .body_json(body)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Removes an agent without pending or running runs. Not repeated: the second time it would be
    /// unknown.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_delete(&self, agent: AgentId) -> Result<(), ClientError> {
        let call = self
            .http
            .call(Method::DELETE, &["v1", "agents", &agent.to_string()]);
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }

    /// A page of agents; with `name`, of the agent of that name.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_list(
        &self,
        name: Option<&str>,
        page: &PageQuery,
    ) -> Result<Page<Agent>, ClientError> {
        let call = page.on(self
            .http
            .call(Method::GET, &["v1", "agents"])
            .query("name", name));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One agent.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_view(&self, agent: AgentId) -> Result<AgentDetail, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "agents", &agent.to_string()]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// A page of the versions of an agent, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn agent_version_list(
        &self,
        agent: AgentId,
        page: &PageQuery,
    ) -> Result<Page<AgentVersion>, ClientError> {
        let path = ["v1", "agents", &agent.to_string(), "versions"];
        let call = page.on(self.http.call(Method::GET, &path));
        self.http.json(&call, Retry::WhenUnreachable).await
    }
}
