//! The server's side of the runner API, in memory, with faults on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Notify;
use vm0_model::event::{LogEntry, MetricSample, NewEvent};
use vm0_model::wire::runner::{
    Claim, EventBatch, FinishReport, LogBatch, MetricBatch, NetworkChange, RunSpec, SalvageReport,
    StartedReport,
};
use vm0_model::{Epoch, Lease, RunId, RunStatus, Timestamp};

/// One run as the server has it.
#[derive(Debug, Clone)]
pub(crate) struct ServerRun {
    pub(crate) epoch: Epoch,
    pub(crate) status: RunStatus,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) logs: Vec<LogEntry>,
    pub(crate) metrics: Vec<MetricSample>,
    pub(crate) started: Option<StartedReport>,
    pub(crate) finish: Option<FinishReport>,
    pub(crate) salvage: Option<SalvageReport>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pending: VecDeque<RunSpec>,
    pub(crate) runs: HashMap<RunId, ServerRun>,
    networks: HashMap<RunId, NetworkChange>,
    pub(crate) objects: HashMap<String, Vec<u8>>,
    /// Requests whose path contains this are not answered.
    pub(crate) hold: Option<&'static str>,
    /// Every so many batches of events, the answer is lost after the batch was recorded.
    pub(crate) lose_answers_every: Option<usize>,
    batches: usize,
    /// Grows while a request is held.
    pub(crate) held: usize,
}

/// A server of the runner API.
#[derive(Clone)]
pub(crate) struct TestServer {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
    pub(crate) url: String,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            inner: Arc::default(),
            changed: Arc::new(Notify::new()),
            url,
        };
        let router = router(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn submit(&self, spec: RunSpec) -> RunId {
        let id = spec.run_id;
        self.lock().pending.push_back(spec);
        self.changed.notify_waiters();
        id
    }

    pub(crate) fn set_status(&self, id: RunId, status: RunStatus) {
        self.lock().runs.get_mut(&id).unwrap().status = status;
        self.changed.notify_waiters();
    }

    pub(crate) fn set_network(&self, id: RunId, change: NetworkChange) {
        self.lock().networks.insert(id, change);
        self.changed.notify_waiters();
    }

    pub(crate) fn run(&self, id: RunId) -> Option<ServerRun> {
        self.lock().runs.get(&id).cloned()
    }

    /// Waits until the run is as `wanted` says.
    pub(crate) async fn wait(&self, id: RunId, wanted: impl Fn(&ServerRun) -> bool) -> ServerRun {
        let waiting = async {
            loop {
                if let Some(run) = self.run(id).filter(|run| wanted(run)) {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), waiting).await {
            Ok(run) => run,
            Err(_) => panic!("not so within 60 s: {:#?}", self.run(id)),
        }
    }

    fn claim(&self) -> Option<Claim> {
        let mut inner = self.lock();
        let spec = inner.pending.pop_front()?;
        let run_id = spec.run_id;
        let epoch = Epoch(1);
        let run = ServerRun {
            epoch,
            status: RunStatus::Running,
            events: Vec::new(),
            logs: Vec::new(),
            metrics: Vec::new(),
            started: None,
            finish: None,
            salvage: None,
        };
        inner.runs.insert(run_id, run);
        let expires_at = Timestamp::from_millis(i64::from(u32::MAX));
        Some(Claim {
            lease: Lease {
                run_id,
                epoch,
                expires_at,
            },
            spec,
        })
    }
}

type Answer = Result<Response, Response>;

fn refuse(status: StatusCode, code: &str) -> Response {
    let error = json!({"type": "conflict_error", "code": code, "message": code});
    (status, Json(json!({ "error": error }))).into_response()
}

fn append<T: Clone>(kept: &mut Vec<T>, offset: u64, items: &[T]) -> u64 {
    let have = kept.len() as u64;
    if offset <= have {
        let known = usize::try_from(have - offset).unwrap().min(items.len());
        kept.extend_from_slice(&items[known..]);
    }
    kept.len() as u64
}

impl TestServer {
    fn with<T>(
        &self,
        id: RunId,
        epoch: Epoch,
        work: impl FnOnce(&mut ServerRun) -> T,
    ) -> Result<T, Response> {
        let mut inner = self.lock();
        let Some(run) = inner.runs.get_mut(&id) else {
            return Err(refuse(StatusCode::NOT_FOUND, "resource_not_found"));
        };
        if run.epoch != epoch {
            return Err(refuse(StatusCode::CONFLICT, "stale_epoch"));
        }
        Ok(work(run))
    }

    async fn operation(&self, id: RunId, operation: &str, body: &[u8]) -> Answer {
        let answer = match operation {
            "renew" | "watch" => self.renew(id, operation == "watch", body).await?,
            "started" => {
                let report: StartedReport = parse(body);
                self.with(id, report.epoch, |run| run.started = Some(report.clone()))?;
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            "events" => self.events(id, &parse(body))?,
            "logs" => {
                let batch: LogBatch = parse(body);
                self.with(id, batch.epoch, |run| {
                    let next_offset = append(&mut run.logs, batch.offset, &batch.entries);
                    json!({"next_offset": next_offset, "status": run.status})
                })?
            }
            "metrics" => {
                let batch: MetricBatch = parse(body);
                self.with(id, batch.epoch, |run| {
                    let next_offset = append(&mut run.metrics, batch.offset, &batch.samples);
                    json!({"next_offset": next_offset, "status": run.status})
                })?
            }
            "finish" => {
                let report: FinishReport = parse(body);
                self.with(id, report.epoch, |run| {
                    if !run.status.is_terminal() {
                        run.status = report.status;
                    }
                    run.finish = Some(report.clone());
                    json!({"status": run.status})
                })?
            }
            "salvage" => {
                let report: SalvageReport = parse(body);
                self.with(id, report.epoch, |run| run.salvage = Some(report))?;
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            _ => return Err(refuse(StatusCode::NOT_FOUND, "resource_not_found")),
        };
        self.changed.notify_waiters();
        Ok(Json(answer).into_response())
    }

    fn events(&self, id: RunId, batch: &EventBatch) -> Result<Value, Response> {
        let answer = self.with(id, batch.epoch, |run| {
            if !run.status.is_terminal() {
                append(&mut run.events, batch.offset, &batch.events);
            }
            json!({"next_offset": run.events.len(), "status": run.status})
        })?;
        let mut inner = self.lock();
        inner.batches += 1;
        match inner.lose_answers_every {
            Some(every) if inner.batches.is_multiple_of(every) => Err(refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
            )),
            _ => Ok(answer),
        }
    }

    async fn renew(&self, id: RunId, wait: bool, body: &[u8]) -> Result<Value, Response> {
        let body = parse::<Value>(body);
        let epoch = Epoch(body["epoch"].as_i64().unwrap());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let changed = self.changed.notified();
            let status = self.with(id, epoch, |run| run.status)?;
            let late = tokio::time::Instant::now() >= deadline;
            let network = self.lock().networks.get(&id).cloned();
            let network = network.filter(|it| body["network_revision"] != json!(it.revision));
            if !wait || status.is_terminal() || late || network.is_some() {
                let expires_at = Timestamp::from_millis(i64::from(u32::MAX));
                return Ok(json!({"expires_at": expires_at, "status": status, "network": network}));
            }
            let _late = tokio::time::timeout_at(deadline, changed).await;
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn router(server: TestServer) -> Router {
    Router::new()
        .route("/api/runner/v1/claim", post(claim))
        .route("/api/runner/v1/runs/{id}/{operation}", post(operation))
        .route("/api/runner/v1/runs/{id}/{kind}/{object}", put(object_put))
        .route("/api/runner/v1/{kind}/{object}", get(object_get))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(server.clone(), hold))
        .with_state(server)
}

async fn hold(State(server): State<TestServer>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    while server.lock().hold.is_some_and(|hold| path.contains(hold)) {
        server.lock().held += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    next.run(request).await
}

async fn claim(State(server): State<TestServer>) -> Response {
    let waiting = async {
        loop {
            let changed = server.changed.notified();
            if let Some(claim) = server.claim() {
                return claim;
            }
            let _late = tokio::time::timeout(Duration::from_millis(100), changed).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(5), waiting).await {
        Ok(claim) => Json(claim).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn operation(
    State(server): State<TestServer>,
    Path((id, operation)): Path<(RunId, String)>,
    body: Bytes,
) -> Response {
    server
        .operation(id, &operation, &body)
        .await
        .unwrap_or_else(|refused| refused)
}

async fn object_put(
    State(server): State<TestServer>,
    Path((_, kind, object)): Path<(RunId, String, String)>,
    body: Bytes,
) -> StatusCode {
    server
        .lock()
        .objects
        .insert(format!("{kind}/{object}"), body.to_vec());
    StatusCode::NO_CONTENT
}

async fn object_get(
    State(server): State<TestServer>,
    Path((kind, object)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let bytes = server
        .lock()
        .objects
        .get(&format!("{kind}/{object}"))
        .cloned();
    let Some(bytes) = bytes else {
        return refuse(StatusCode::NOT_FOUND, "resource_not_found");
    };
    let Some(range) = headers.get("range").and_then(|range| range.to_str().ok()) else {
        return bytes.into_response();
    };
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    (StatusCode::PARTIAL_CONTENT, bytes[first..=last].to_vec()).into_response()
}
