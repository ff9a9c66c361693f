//! Runs, their logs and metrics (API 4, 6, 7). Their events are in `events.rs`.

use reqwest::Method;
use vm0_model::event::{LogKind, LogLevel};
use vm0_model::id::{AgentId, RunId};
use vm0_model::run::RunStatus;
use vm0_model::time::Timestamp;
use vm0_model::wire::network::NetworkSection;
use vm0_model::wire::page::Page;
use vm0_model::wire::runs::{LogLine, Run, RunCreate, RunDetail};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunListQuery {
    /// Only runs in this state.
    pub status: Option<RunStatus>,
    /// Only runs of this agent.
    pub agent_id: Option<AgentId>,
    /// Only runs created at this time or later.
    pub since: Option<Timestamp>,
}

/// Which log entries to read.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this log.
    pub kind: Option<LogKind>,
    /// Exactly this level.
    pub level: Option<LogLevel>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
}

impl Client {
    /// Creates a run. `idempotency_key` makes repeating safe.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_create(
        &self,
        body: &RunCreate,
        idempotency_key: &str,
    ) -> Result<RunDetail, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", "runs"])
            .header("idempotency-key", idempotency_key)
            .body_json(body)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// One run.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_view(&self, run: RunId) -> Result<RunDetail, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "runs", &run.to_string()]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// A page of runs, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_list(
        &self,
        query: &RunListQuery,
        page: &PageQuery,
    ) -> Result<Page<Run>, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "runs"])
            .query("status", query.status)
            .query("agent_id", query.agent_id)
            .query("since", query.since);
        self.http.json(&page.on(call), Retry::WhenUnreachable).await
    }

    /// Cancels a run. Not repeated: the second time it would be refused.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_cancel(&self, run: RunId) -> Result<RunDetail, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", "runs", &run.to_string(), "cancel"]);
        self.http.json(&call, Retry::Never).await
    }

    /// The network policy of a run that is in force.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_network_view(&self, run: RunId) -> Result<NetworkSection, ClientError> {
        let path = ["v1", "runs", &run.to_string(), "network"];
        let call = self.http.call(Method::GET, &path);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Replaces the network policy of a run by this section `network` of vm0.yaml.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_network_put(
        &self,
        run: RunId,
        section: &serde_json::Value,
    ) -> Result<NetworkSection, ClientError> {
        let path = ["v1", "runs", &run.to_string(), "network"];
        let call = self.http.call(Method::PUT, &path).body_json(section)?;
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// A page of a run's logs.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_logs(
        &self,
        run: RunId,
        query: &LogQuery,
        page: &PageQuery,
    ) -> Result<Page<LogLine>, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "runs", &run.to_string(), "logs"])
            .query("type", query.kind.map(LogKind::as_str))
            .query("level", query.level.map(LogLevel::as_str))
            .query("since", query.since)
            .query("until", query.until)
            .query("order", query.descending.then_some("desc"));
        self.http.json(&page.on(call), Retry::WhenUnreachable).await
    }

    /// All metric samples of a run with their summary, as the API has them.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn run_metrics(&self, run: RunId) -> Result<serde_json::Value, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", "runs", &run.to_string(), "metrics"]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }
}
