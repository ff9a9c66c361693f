//! Sessions and checkpoints (API 10).

use reqwest::Method;
use vm0_model::id::{AgentId, CheckpointId, SessionId};
use vm0_model::wire::page::Page;
use vm0_model::wire::sessions::{Checkpoint, Session};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// A page of sessions, newest first; with `agent`, of those of this agent.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn session_list(
        &self,
        agent: Option<AgentId>,
        page: &PageQuery,
    ) -> Result<Page<Session>, ClientError> {
        let call = page.on(self
            .http
            .call(Method::GET, &["v1", "sessions"])
            .query("agent_id", agent));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One session.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn session_view(&self, session: SessionId) -> Result<Session, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "sessions", &session.to_string()]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn checkpoint_view(
        &self,
        checkpoint: CheckpointId,
    ) -> Result<Checkpoint, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "checkpoints", &checkpoint.to_string()]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }
}
