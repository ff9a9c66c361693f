//! `/v1/runs` (API 4).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{get, post, put};
use vm0_model::limits::{JSON_BODY_MAX_BYTES, RUN_BODY_MAX_BYTES, RUN_TIMEOUT_MAX_SECONDS};
use vm0_model::wire::network::NetworkSection;
use vm0_model::wire::page::Page;
use vm0_model::wire::runs::{Run, RunCreate, RunDetail};
use vm0_model::{ApiError, RunStatus};

use super::extract::{JsonObject, PathIds, QueryValues};
use super::fields::Fields;
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller, RunListQuery, RunRequest};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/runs", get(run_list)),
        route(Method::POST, "/v1/runs", post(run_create)),
        route(Method::GET, "/v1/runs/{id}", get(run_view)),
        route(Method::POST, "/v1/runs/{id}/cancel", post(run_cancel)),
        route(Method::GET, "/v1/runs/{id}/network", get(run_network_view)),
        route(Method::PUT, "/v1/runs/{id}/network", put(run_network_put)),
    ]
}

async fn run_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Run>>> {
    let filter = RunListQuery {
        status: query.choice(
            "status",
            &RunStatus::ALL.map(|status| (status.as_str(), status)),
        )?,
        agent_id: query.get("agent_id").map(str::to_owned),
        since: query.time("since")?,
    };
    Ok(Json(app.run_list(&caller, filter, &query.page()?).await?))
}

async fn run_create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    JsonObject(body): JsonObject<RUN_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<RunDetail>)> {
    let key = headers.get("idempotency-key");
    let request = RunRequest {
        fields: run_fields(&body)?,
        body: body.into_value(),
        idempotency_key: key.map(|key| key.to_str().map(str::to_owned).map_err(drop)),
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(app.run_create(&caller, request).await?),
    ))
}

async fn run_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<RunDetail>> {
    Ok(Json(app.run_view(&caller, ids.first()).await?))
}

async fn run_cancel(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<RunDetail>> {
    Ok(Json(app.run_cancel(&caller, ids.first()).await?))
}

async fn run_network_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<NetworkSection>> {
    Ok(Json(app.run_network_view(&caller, ids.first()).await?))
}

async fn run_network_put(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<Json<NetworkSection>> {
    let section = body.into_value();
    let network = app.run_network_put(&caller, ids.first(), &section).await?;
    Ok(Json(network))
}

fn run_fields(body: &Fields) -> Result<RunCreate, ApiError> {
    let timeout = body.integer("timeout_seconds", 1..=u64::from(RUN_TIMEOUT_MAX_SECONDS))?;
    Ok(RunCreate {
        prompt: body.string("prompt")?.unwrap_or_default(),
        checkpoint_id: body.string("checkpoint_id")?,
        session_id: body.string("session_id")?,
        agent_id: body.string("agent_id")?,
        agent: body.string("agent")?,
        agent_version: body.string("agent_version")?,
        variables: body.string_map("variables")?,
        secrets: body.string_map("secrets")?,
        artifact_name: body.string("artifact_name")?,
        artifact_version: body.string("artifact_version")?,
        volumes: body.string_map("volumes")?,
        timeout_seconds: timeout.and_then(|seconds| u32::try_from(seconds).ok()),
    })
}
