//! `GET /schema/vm0.yaml.json`: the form of `vm0.yaml`, for editors (API 13).

use std::sync::LazyLock;

use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use vm0_model::config::config_schema_json;

use super::router::{Route, route};

const JSON_SCHEMA: HeaderValue = HeaderValue::from_static("application/schema+json");
/// It changes with the release only.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The schema, made when it is first asked for.
static SCHEMA: LazyLock<String> = LazyLock::new(config_schema_json);

pub(super) fn routes() -> Vec<Route> {
    vec![route(
        Method::GET,
        "/schema/vm0.yaml.json",
        get(config_schema_view),
    )]
}

async fn config_schema_view() -> Response {
    let headers = [
        (header::CONTENT_TYPE, JSON_SCHEMA),
        (header::CACHE_CONTROL, CACHED),
    ];
    (headers, SCHEMA.as_str()).into_response()
}
