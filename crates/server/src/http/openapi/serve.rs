//! `GET /openapi.json` (API 13).

use std::sync::LazyLock;

use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::super::router::{Route, route};
use super::document::document;

/// The document, made when it is first asked for.
static DOCUMENT: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&document()).expect("a document is JSON"));

pub(in crate::http) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/openapi.json", get(openapi_view))]
}

async fn openapi_view() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.as_slice()).into_response()
}
