//! `/v1/tokens` (API 12).

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use vm0_model::limits::{JSON_BODY_MAX_BYTES, TOKEN_EXPIRES_MAX_DAYS};
use vm0_model::wire::page::Page;
use vm0_model::wire::tokens::{Token, TokenCreate, TokenCreated};

use super::extract::{JsonObject, PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/tokens", get(token_list)),
        route(Method::POST, "/v1/tokens", post(token_create)),
        route(Method::GET, "/v1/tokens/{id}", get(token_view)),
        route(Method::DELETE, "/v1/tokens/{id}", delete(token_delete)),
    ]
}

async fn token_list(
    State(app): State<App>,
    caller: Caller,
    query: QueryValues,
) -> HttpResult<Json<Page<Token>>> {
    Ok(Json(app.token_list(&caller, &query.page()?).await?))
}

async fn token_create(
    State(app): State<App>,
    caller: Caller,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<TokenCreated>)> {
    let days = body.integer("expires_in_days", 1..=u64::from(TOKEN_EXPIRES_MAX_DAYS))?;
    let request = TokenCreate {
        name: body.required_string("name")?,
        expires_in_days: days.and_then(|days| u32::try_from(days).ok()),
    };
    let token = app.token_create(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(token)))
}

async fn token_view(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<Json<Token>> {
    Ok(Json(app.token_view(&caller, ids.first()).await?))
}

async fn token_delete(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
) -> HttpResult<StatusCode> {
    app.token_delete(&caller, ids.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}
