//! `/v1/schedules`.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use vm0_model::ApiError;
use vm0_model::limits::{RUN_BODY_MAX_BYTES, RUN_TIMEOUT_MAX_SECONDS};
use vm0_model::wire::page::Page;
use vm0_model::wire::schedules::{Schedule, ScheduleCreate};

use super::extract::{JsonObject, PathIds, QueryValues};
use super::fields::Fields;
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/schedules", get(schedule_list)),
        route(Method::POST, "/v1/schedules", post(schedule_create)),
        route(Method::GET, "/v1/schedules/{id}", get(schedule_view)),
        route(
            Method::POST,
            "/v1/schedules/{id}/enable",
            post(schedule_enable),
        ),
        route(
            Method::POST,
            "/v1/schedules/{id}/disable",
            post(schedule_disable),
        ),
        route(
            Method::DELETE,
            "/v1/schedules/{id}",
            delete(schedule_delete),
        ),
    ]
}

async fn schedule_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Schedule>>> {
    Ok(Json(app.schedule_list(&caller, &query.page()?).await?))
}

async fn schedule_create(
    State(app): State<App>,
    caller: Caller,
    JsonObject(body): JsonObject<RUN_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<Schedule>)> {
    let request = schedule_fields(&body)?;
    Ok((
        StatusCode::CREATED,
        Json(app.schedule_create(&caller, request).await?),
    ))
}

async fn schedule_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Schedule>> {
    Ok(Json(app.schedule_view(&caller, ids.first()).await?))
}

async fn schedule_enable(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Schedule>> {
    Ok(Json(app.schedule_switch(&caller, ids.first(), true).await?))
}

async fn schedule_disable(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Schedule>> {
    Ok(Json(
        app.schedule_switch(&caller, ids.first(), false).await?,
    ))
}

async fn schedule_delete(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<StatusCode> {
    app.schedule_delete(&caller, ids.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn schedule_fields(body: &Fields) -> Result<ScheduleCreate, ApiError> {
    for key in ["secrets", "session_id", "checkpoint_id"] {
        if body.raw(key).is_some() {
            let message = format!("a schedule has no {key}; store secrets instead");
            return Err(ApiError::invalid(key, message));
        }
    }
    let timeout = body.integer("timeout_seconds", 1..=u64::from(RUN_TIMEOUT_MAX_SECONDS))?;
    Ok(ScheduleCreate {
        cron: body.required_string("cron")?,
        timezone: body.string("timezone")?,
        enabled: body.boolean("enabled")?,
        agent_id: body.string("agent_id")?,
        agent: body.string("agent")?,
        prompt: body.string("prompt")?.unwrap_or_default(),
        agent_version: body.string("agent_version")?,
        variables: body.string_map("variables")?,
        artifact_name: body.string("artifact_name")?,
        artifact_version: body.string("artifact_version")?,
        volumes: body.string_map("volumes")?,
        timeout_seconds: timeout.and_then(|seconds| u32::try_from(seconds).ok()),
    })
}
