//! `GET /metrics`: what an operator watches (API 13).

use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::App;

/// Where the metrics are.
pub(super) const PATH: &str = "/metrics";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(super) fn routes() -> Vec<Route> {
    vec![route(Method::GET, PATH, get(metrics_view))]
}

async fn metrics_view(State(app): State<App>) -> HttpResult {
    let text = app.metrics_view().await?;
    let response: Response = ([(header::CONTENT_TYPE, TEXT)], text).into_response();
    Ok(response)
}
