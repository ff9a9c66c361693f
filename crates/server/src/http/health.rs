//! Whether the server works (API 13).

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use serde_json::{Value, json};

use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::App;

pub(super) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/health", get(health_view))]
}

async fn health_view(State(app): State<App>) -> HttpResult<Json<Value>> {
    app.health_check().await?;
    Ok(Json(json!({ "status": "ok" })))
}
