//! `/v1/secrets` (API 11).

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, put};
use vm0_model::limits::JSON_BODY_MAX_BYTES;
use vm0_model::wire::page::Page;
use vm0_model::wire::secrets::Secret;

use super::extract::{JsonObject, PathIds, QueryValues};
use super::respond::{self, HttpResult};
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/secrets", get(secret_list)),
        route(Method::GET, "/v1/secrets/{name}", get(secret_view)),
        route(Method::PUT, "/v1/secrets/{name}", put(secret_put)),
        route(Method::DELETE, "/v1/secrets/{name}", delete(secret_delete)),
    ]
}

async fn secret_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Secret>>> {
    Ok(Json(app.secret_list(&caller, &query.page()?).await?))
}

async fn secret_view(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
) -> HttpResult<Json<Secret>> {
    Ok(Json(app.secret_view(&caller, names.first()).await?))
}

async fn secret_put(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
    JsonObject(mut body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<Secret>)> {
    let value = body.required_secret("value")?;
    Ok(respond::put(
        app.secret_put(&caller, names.first(), value).await?,
    ))
}

async fn secret_delete(
    State(app): State<App>,
    caller: Caller,
    names: PathIds,
) -> HttpResult<StatusCode> {
    app.secret_delete(&caller, names.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}
