//! The runner API: `vm0_model::wire::runner` has its table.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use vm0_blob::ByteStream;
use vm0_model::limits::EVENT_BATCH_MAX_BYTES;
use vm0_model::wire::runner::{BatchAnswer, FinishAnswer, RenewAnswer, RenewRequest, WatchAnswer};
use vm0_model::{ApiError, Epoch};

use super::extract::{JsonBytes, PathIds, QueryValues};
use super::range::{ByteRange, partial};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, RunObject, RunnerCaller, run_id};

/// Where the runner API is.
pub(super) const PREFIX: &str = "/api/runner/v1/";

/// A batch of events as JSON text in JSON: every quote of it may be escaped once more.
const BODY_MAX_BYTES: usize = 4 * EVENT_BATCH_MAX_BYTES;

type Bytes = JsonBytes<BODY_MAX_BYTES>;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = call_routes();
    routes.extend(object_routes());
    routes
}

fn call_routes() -> Vec<Route> {
    let call = |path, handler| route(Method::POST, path, handler);
    vec![
        call("/api/runner/v1/claim", post(claim)),
        call("/api/runner/v1/runs/{id}/renew", post(run_renew)),
        call("/api/runner/v1/runs/{id}/watch", post(run_watch)),
        call("/api/runner/v1/runs/{id}/started", post(run_started)),
        call("/api/runner/v1/runs/{id}/events", post(event_append)),
        call("/api/runner/v1/runs/{id}/logs", post(log_append)),
        call("/api/runner/v1/runs/{id}/metrics", post(metric_append)),
        call("/api/runner/v1/runs/{id}/finish", post(run_finish)),
        call("/api/runner/v1/runs/{id}/salvage", post(run_salvage)),
    ]
}

fn object_routes() -> Vec<Route> {
    let read = |path, handler| route(Method::GET, path, handler);
    let store = |path, handler| route(Method::PUT, path, handler);
    vec![
        read("/api/runner/v1/manifests/{id}", get(manifest_read)),
        read("/api/runner/v1/packs/{id}", get(pack_read)),
        read("/api/runner/v1/histories/{id}", get(history_read)),
        store("/api/runner/v1/runs/{id}/packs/{object}", put(pack_put)),
        store(
            "/api/runner/v1/runs/{id}/manifests/{object}",
            put(manifest_put),
        ),
        store(
            "/api/runner/v1/runs/{id}/histories/{object}",
            put(history_put),
        ),
    ]
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(&body.0).map_err(|error| ApiError::invalid("body", error.to_string()))
}

async fn claim(State(app): State<App>, runner: RunnerCaller, body: Bytes) -> HttpResult {
    match app.claim(&runner, &parse(&body)?).await? {
        Some(claim) => Ok(Json(claim).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn run_renew(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<RenewAnswer>> {
    let RenewRequest { epoch } = parse(&body)?;
    Ok(Json(app.run_renew(run_id(ids.first())?, epoch).await?))
}

async fn run_watch(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<WatchAnswer>> {
    Ok(Json(
        app.run_watch(run_id(ids.first())?, &parse(&body)?).await?,
    ))
}

async fn run_started(State(app): State<App>, ids: PathIds, body: Bytes) -> HttpResult<StatusCode> {
    app.run_started(run_id(ids.first())?, &parse(&body)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn event_append(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<BatchAnswer>> {
    Ok(Json(
        app.event_append(run_id(ids.first())?, parse(&body)?)
            .await?,
    ))
}

async fn log_append(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<BatchAnswer>> {
    Ok(Json(
        app.log_append(run_id(ids.first())?, parse(&body)?).await?,
    ))
}

async fn metric_append(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<BatchAnswer>> {
    Ok(Json(
        app.metric_append(run_id(ids.first())?, parse(&body)?)
            .await?,
    ))
}

async fn run_finish(
    State(app): State<App>,
    ids: PathIds,
    body: Bytes,
) -> HttpResult<Json<FinishAnswer>> {
    Ok(Json(
        app.run_finish(run_id(ids.first())?, parse(&body)?).await?,
    ))
}

async fn run_salvage(State(app): State<App>, ids: PathIds, body: Bytes) -> HttpResult<StatusCode> {
    app.run_salvage(run_id(ids.first())?, parse(&body)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn manifest_read(State(app): State<App>, ids: PathIds) -> HttpResult {
    Ok(octets(
        app.manifest_read(object_id(ids.first(), "manifest")?)
            .await?,
    ))
}

async fn history_read(State(app): State<App>, ids: PathIds) -> HttpResult {
    Ok(octets(
        app.history_read(object_id(ids.first(), "history")?).await?,
    ))
}

async fn pack_read(State(app): State<App>, ids: PathIds, headers: HeaderMap) -> HttpResult {
    let id = object_id(ids.first(), "pack")?;
    let Some(range) = headers.get(header::RANGE) else {
        return Ok(octets(app.pack_read(id, None).await?));
    };
    let len = app.pack_len(id).await?;
    let fault = || ApiError::invalid("Range", "Range must be bytes=FIRST-LAST within the pack");
    let range = ByteRange::parse(range)
        .and_then(|range| range.within(len))
        .ok_or_else(fault)?;
    let mut response = octets(app.pack_read(id, Some(range.clone())).await?);
    partial(&mut response, &range, len);
    Ok(response)
}

async fn pack_put(
    State(app): State<App>,
    ids: PathIds,
    query: QueryValues,
    request: Request,
) -> HttpResult<StatusCode> {
    let object = RunObject::Pack(object_id(ids.second(), "pack")?);
    object_put(app, &ids, &query, object, request).await
}

async fn manifest_put(
    State(app): State<App>,
    ids: PathIds,
    query: QueryValues,
    request: Request,
) -> HttpResult<StatusCode> {
    let object = RunObject::Manifest(object_id(ids.second(), "manifest")?);
    object_put(app, &ids, &query, object, request).await
}

async fn history_put(
    State(app): State<App>,
    ids: PathIds,
    query: QueryValues,
    request: Request,
) -> HttpResult<StatusCode> {
    let object = RunObject::History(object_id(ids.second(), "history")?);
    object_put(app, &ids, &query, object, request).await
}

async fn object_put(
    app: App,
    ids: &PathIds,
    query: &QueryValues,
    object: RunObject,
    request: Request,
) -> HttpResult<StatusCode> {
    let fault = || ApiError::invalid("epoch", "epoch must be an integer");
    let epoch = query
        .get("epoch")
        .and_then(|text| text.parse().ok())
        .ok_or_else(fault)?;
    let stream = request.into_body().into_data_stream();
    app.run_object_put(run_id(ids.first())?, Epoch(epoch), object, stream)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn object_id<Id: std::str::FromStr>(text: &str, kind: &str) -> Result<Id, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(kind, text))
}

fn octets(stream: ByteStream) -> Response {
    let mut response = Body::from_stream(stream).into_response();
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response
}
