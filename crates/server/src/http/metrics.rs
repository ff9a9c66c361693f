//! `/v1/runs/:id/metrics` (API 7).

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;

use super::extract::PathIds;
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller, RunMetrics};

pub(super) fn routes() -> Vec<Route> {
    vec![route(
        Method::GET,
        "/v1/runs/{id}/metrics",
        get(run_metrics),
    )]
}

async fn run_metrics(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<RunMetrics>> {
    Ok(Json(app.run_metrics(&caller, ids.first()).await?))
}
