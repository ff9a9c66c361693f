//! `/api/cli/auth`: the calls of `vm0 auth login` (CLI 9, RFC 8628). They need no token: they get
//! one.

use std::net::{IpAddr, Ipv4Addr};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use vm0_model::limits::{CLIENT_NAME_MAX_CHARS, JSON_BODY_MAX_BYTES};
use vm0_model::wire::auth::DeviceRefusal;

use super::auth::{Peer, is_forwarded};
use super::extract::JsonObject;
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Client, DeviceOrigin};

/// What is answered here is for one caller, once.
const NO_STORE: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/api/cli/auth/device", post(device_create)),
        route(Method::POST, "/api/cli/auth/token", post(device_redeem)),
    ]
}

async fn device_create(State(app): State<App>, request: Request) -> HttpResult {
    let code = app.device_create(&origin(&request)).await?;
    Ok(unstored(StatusCode::OK, code))
}

async fn device_redeem(
    State(app): State<App>,
    client: Client,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult {
    let code = body.required_string("device_code")?;
    Ok(match app.device_redeem(&code, &client).await? {
        Ok(token) => unstored(StatusCode::OK, token),
        Err(error) => unstored(StatusCode::BAD_REQUEST, DeviceRefusal { error }),
    })
}

fn unstored(status: StatusCode, body: impl Serialize) -> Response {
    (status, [NO_STORE], Json(body)).into_response()
}

fn origin(request: &Request) -> DeviceOrigin {
    let headers = request.headers();
    let peer = request.extensions().get::<Peer>();
    let client = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .filter(|client| !client.is_empty());
    DeviceOrigin {
        client: client.map(|client| client.chars().take(CLIENT_NAME_MAX_CHARS).collect()),
        peer: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip()),
        forwarded: is_forwarded(headers),
    }
}
