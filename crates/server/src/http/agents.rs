//! `/v1/agents` (API 3).

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use vm0_model::limits::JSON_BODY_MAX_BYTES;
use vm0_model::wire::agents::{Agent, AgentAction, AgentDetail, AgentVersion};
use vm0_model::wire::page::Page;

use super::extract::{JsonObject, PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/agents", get(agent_list)),
        route(Method::POST, "/v1/agents", post(agent_put)),
        route(Method::GET, "/v1/agents/{id}", get(agent_view)),
        route(Method::PUT, "/v1/agents/{id}", put(agent_put)),
        route(Method::DELETE, "/v1/agents/{id}", delete(agent_delete)),
        route(
            Method::GET,
            "/v1/agents/{id}/versions",
            get(agent_version_list),
        ),
    ]
}

async fn agent_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Agent>>> {
    Ok(Json(
        app.agent_list(&caller, query.get("name"), &query.page()?)
            .await?,
    ))
}

/// `POST` without an id, `PUT` with one.
async fn agent_put(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    ids: PathIds,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult {
    let config = body.required_object("config")?;
    let id = (method == Method::PUT).then(|| ids.first());
    let agent = app.agent_put(&caller, id, config, body.message()?).await?;
    let status = match agent.action {
        Some(AgentAction::Created) => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    Ok((status, Json(agent)).into_response() as Response)
}

async fn agent_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<AgentDetail>> {
    Ok(Json(app.agent_view(&caller, ids.first()).await?))
}

async fn agent_delete(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<StatusCode> {
    app.agent_delete(&caller, ids.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn agent_version_list(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
    query: QueryValues,
) -> HttpResult<Json<Page<AgentVersion>>> {
    Ok(Json(
        app.agent_version_list(&caller, ids.first(), &query.page()?)
            .await?,
    ))
}
