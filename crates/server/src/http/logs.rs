//! `/v1/runs/:id/logs` (API 6).

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use vm0_model::event::{LogKind, LogLevel};
use vm0_model::wire::page::Page;
use vm0_model::wire::runs::LogLine;

use super::extract::{PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller, LogQuery};

const KINDS: [(&str, Option<LogKind>); 4] = [
    ("agent", Some(LogKind::Agent)),
    ("system", Some(LogKind::System)),
    ("network", Some(LogKind::Network)),
    ("all", None),
];
const LEVELS: [(&str, LogLevel); 4] = [
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
];
const ORDERS: [(&str, bool); 2] = [("asc", false), ("desc", true)];

pub(super) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/runs/{id}/logs", get(run_log_list))]
}

async fn run_log_list(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
    query: QueryValues,
) -> HttpResult<Json<Page<LogLine>>> {
    let filter = LogQuery {
        kind: query.choice("type", &KINDS)?.flatten(),
        level: query.choice("level", &LEVELS)?,
        since: query.time("since")?,
        until: query.time("until")?,
        descending: query.choice("order", &ORDERS)?.unwrap_or(false),
    };
    Ok(Json(
        app.run_log_list(&caller, ids.first(), filter, &query.page()?)
            .await?,
    ))
}
