//! `/v1/variables` (API 11).

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, put};
use vm0_model::limits::JSON_BODY_MAX_BYTES;
use vm0_model::wire::page::Page;
use vm0_model::wire::variables::Variable;

use super::extract::{JsonObject, PathIds, QueryValues};
use super::respond::{self, HttpResult};
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/variables", get(variable_list)),
        route(Method::GET, "/v1/variables/{name}", get(variable_view)),
        route(Method::PUT, "/v1/variables/{name}", put(variable_put)),
        route(
            Method::DELETE,
            "/v1/variables/{name}",
            delete(variable_delete),
        ),
    ]
}

async fn variable_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Variable>>> {
    Ok(Json(app.variable_list(&caller, &query.page()?).await?))
}

async fn variable_view(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
) -> HttpResult<Json<Variable>> {
    Ok(Json(app.variable_view(&caller, names.first()).await?))
}

async fn variable_put(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<Variable>)> {
    let value = body.required_string("value")?;
    Ok(respond::put(
        app.variable_put(&caller, names.first(), value).await?,
    ))
}

async fn variable_delete(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
) -> HttpResult<StatusCode> {
    app.variable_delete(&caller, names.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}
