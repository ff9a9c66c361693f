//! The API between a runner and its server (`vm0_model::wire::runner`).
//!
//! Nothing is repeated here: the runner repeats each call as long as its lease lasts, and tells
//! by [`ClientError::is_transient`] and [`ClientError::is_stale_epoch`] whether to.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vm0_model::id::{HistoryId, ManifestId, PackId, RunId};
use vm0_model::lease::Epoch;
use vm0_model::limits::{CLAIM_WAIT, LEASE_TTL};
use vm0_model::wire::runner::{
    BatchAnswer, Claim, ClaimRequest, EventBatch, FinishAnswer, FinishReport, LogBatch,
    MetricBatch, RenewAnswer, RenewRequest, SalvageReport, StartedReport, WatchAnswer,
    WatchRequest,
};

use crate::error::ClientError;
use crate::http::{Body, Call, Http, file_error};
use crate::objects::Download;
use crate::retry::Retry;
use crate::server_url::ServerUrl;

const BASE: [&str; 3] = ["api", "runner", "v1"];

/// The runner API of one server, as one runner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunnerClient {
    pub(crate) http: Http,
}

impl RunnerClient {
    /// A client of `server` that authenticates with the runner token `token`.
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

    /// Waits for a run to execute; `None` after a while without one.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Option<Claim>, ClientError> {
        let call = self
            .call(Method::POST, &["claim"])
            .body_json(request)?
            .wait(CLAIM_WAIT);
        let response = self.http.response(&call, Retry::Never).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let bytes = Download::new(self.http.clone(), response).bytes().await?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| call.protocol(source))
    }

    /// Keeps the lease of a run.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn renew(
        &self,
        run: RunId,
        request: &RenewRequest,
    ) -> Result<RenewAnswer, ClientError> {
        self.post(run, "renew", request).await
    }

    /// Waits until the run is terminal or other commands wait than the request knows of, or a while:
    /// a long poll that also renews.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn watch(
        &self,
        run: RunId,
        request: &WatchRequest,
    ) -> Result<WatchAnswer, ClientError> {
        let call = self.run_call(Method::POST, run, &["watch"]);
        self.http
            .json(&call.body_json(request)?.wait(LEASE_TTL), Retry::Never)
            .await
    }

    /// Says that the agent process has started.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn started(&self, run: RunId, report: &StartedReport) -> Result<(), ClientError> {
        let call = self
            .run_call(Method::POST, run, &["started"])
            .body_json(report)?;
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }

    /// Appends events.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn events(&self, run: RunId, batch: &EventBatch) -> Result<BatchAnswer, ClientError> {
        self.post(run, "events", batch).await
    }

    /// Appends log entries.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn logs(&self, run: RunId, batch: &LogBatch) -> Result<BatchAnswer, ClientError> {
        self.post(run, "logs", batch).await
    }

    /// Appends metric samples.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn metrics(
        &self,
        run: RunId,
        batch: &MetricBatch,
    ) -> Result<BatchAnswer, ClientError> {
        self.post(run, "metrics", batch).await
    }

    /// Ends the run.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn finish(
        &self,
        run: RunId,
        report: &FinishReport,
    ) -> Result<FinishAnswer, ClientError> {
        self.post(run, "finish", report).await
    }

    /// Keeps the files of a run that did not complete.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn salvage(&self, run: RunId, report: &SalvageReport) -> Result<(), ClientError> {
        let call = self
            .run_call(Method::POST, run, &["salvage"])
            .body_json(report)?;
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }

    /// An encoded manifest.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn manifest_get(&self, manifest: ManifestId) -> Result<Vec<u8>, ClientError> {
        let call = self.call(Method::GET, &["manifests", &manifest.to_string()]);
        self.download(&call).await?.bytes().await
    }

    /// Bytes of a pack, all or a range.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn pack_get(
        &self,
        pack: PackId,
        range: Option<Range<u64>>,
    ) -> Result<Download, ClientError> {
        let mut call = self.call(Method::GET, &["packs", &pack.to_string()]);
        if let Some(range) = range {
            let last = range.end.saturating_sub(1);
            call = call.header("range", format!("bytes={}-{last}", range.start));
        }
        self.download(&call).await
    }

    /// An encoded history.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn history_get(&self, history: HistoryId) -> Result<Vec<u8>, ClientError> {
        let call = self.call(Method::GET, &["histories", &history.to_string()]);
        self.download(&call).await?.bytes().await
    }

    /// Stores a pack, streamed from a file. After it returns the pack is durable.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn pack_put(
        &self,
        run: RunId,
        epoch: Epoch,
        pack: PackId,
        path: &Path,
    ) -> Result<(), ClientError> {
        let metadata = tokio::fs::metadata(path).await;
        let length = metadata.map_err(|source| file_error(path, source))?.len();
        let body = Body::File(path.to_owned());
        self.put(run, epoch, ["packs", &pack.to_string()], body, length)
            .await
    }

    /// Stores a manifest. After it returns the manifest is durable.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn manifest_put(
        &self,
        run: RunId,
        epoch: Epoch,
        manifest: ManifestId,
        bytes: Bytes,
    ) -> Result<(), ClientError> {
        let length = bytes.len() as u64;
        let path = ["manifests", &manifest.to_string()];
        self.put(run, epoch, path, Body::Bytes(bytes), length).await
    }

    /// Stores a history. After it returns the history is durable.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn history_put(
        &self,
        run: RunId,
        epoch: Epoch,
        history: HistoryId,
        bytes: Bytes,
    ) -> Result<(), ClientError> {
        let length = bytes.len() as u64;
        let path = ["histories", &history.to_string()];
        self.put(run, epoch, path, Body::Bytes(bytes), length).await
    }

    fn call(&self, method: Method, path: &[&str]) -> Call {
        self.http.call(method, &[&BASE[..], path].concat())
    }

    pub(crate) fn run_call(&self, method: Method, run: RunId, path: &[&str]) -> Call {
        self.call(
            method,
            &[&["runs", run.to_string().as_str()][..], path].concat(),
        )
    }

    async fn post<T: DeserializeOwned>(
        &self,
        run: RunId,
        operation: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let call = self
            .run_call(Method::POST, run, &[operation])
            .body_json(body)?;
        self.http.json(&call, Retry::Never).await
    }

    async fn put(
        &self,
        run: RunId,
        epoch: Epoch,
        path: [&str; 2],
        body: Body,
        length: u64,
    ) -> Result<(), ClientError> {
        let call = self
            .run_call(Method::PUT, run, &path)
            .query("epoch", Some(epoch))
            .body("application/octet-stream", body, length);
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }

    async fn download(&self, call: &Call) -> Result<Download, ClientError> {
        let response = self.http.response(call, Retry::Never).await?;
        Ok(Download::new(self.http.clone(), response))
    }
}
