//! `/v1/sessions` and `/v1/checkpoints` (API 10).

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use vm0_model::wire::page::Page;
use vm0_model::wire::sessions::{Checkpoint, Session};

use super::extract::{PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/sessions", get(session_list)),
        route(Method::GET, "/v1/sessions/{id}", get(session_view)),
        route(Method::GET, "/v1/checkpoints/{id}", get(checkpoint_view)),
    ]
}

async fn session_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Session>>> {
    Ok(Json(
        app.session_list(&caller, query.get("agent_id"), &query.page()?)
            .await?,
    ))
}

async fn session_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Session>> {
    Ok(Json(app.session_view(&caller, ids.first()).await?))
}

async fn checkpoint_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Checkpoint>> {
    Ok(Json(app.checkpoint_view(&caller, ids.first()).await?))
}
