//! What surrounds every request: its id, its log span, its metrics, the headers of every answer,
//! the last resort when a handler panics, and the check whether requests are served at all.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;
use vm0_model::{ApiError, ErrorCode};

use super::pages;
use crate::app::{App, AppError, Phase};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");
/// The route of a path that no route has.
const UNMATCHED: &str = "unmatched";
const VERSION: HeaderValue = HeaderValue::from_static("v1");

/// The outermost layer.
pub(super) async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = format!("req_{}", hex::encode(rand::random::<[u8; 16]>()));
    let span = tracing::info_span!(
        "request", id, method = %request.method(), path = shown_path(request.uri().path())
    );
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = Instant::now();
    let mut response = answer(&app, request, next).instrument(span.clone()).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = method_not_allowed(&method, response.headers());
    }
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let (status, took) = (response.status().as_u16(), began.elapsed());
    app.meters
        .request(method_label(&method), route, status, took);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(API_VERSION, VERSION);
    response
}

/// The path for the log: a one-time link signs in whoever reads it.
fn shown_path(path: &str) -> &str {
    if path.starts_with(pages::LINK_PREFIX) {
        pages::LINK_PREFIX
    } else {
        path
    }
}

async fn answer(app: &App, request: Request, next: Next) -> Response {
    let for_runner = request.uri().path().starts_with(super::runner::PREFIX);
    let served = match app.phase() {
        Phase::Serving => true,
        Phase::Draining => for_runner,
        Phase::Stopped => false,
    };
    if !served {
        return AppError::Stopping.into_response();
    }
    unless_panicking(next.run(request)).await
}

/// The answer, or that of an internal error; the panic itself is in the log.
async fn unless_panicking(answer: impl Future<Output = Response>) -> Response {
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    answer.unwrap_or_else(|_| AppError::Panicked.into_response())
}

/// The method as a label: one of few, whatever the caller sends.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn method_not_allowed(method: &Method, headers: &HeaderMap) -> Response {
    let message = format!("Method {method} is not allowed here");
    let error = ApiError::new(ErrorCode::MethodNotAllowed, message);
    let mut response = AppError::from(error).into_response();
    if let Some(allow) = headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_answers_an_internal_error() {
        let answer = unless_panicking(async { panic!("a detail") }).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
            .await
            .unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains("internal_error") && !body.contains("detail"),
            "{body}"
        );
    }
}
