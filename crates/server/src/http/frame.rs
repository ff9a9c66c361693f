//! What surrounds every request: its id, its log span, its metrics, the headers of every answer,
//! the last resort when a handler panics, and the check whether requests are served at all.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::Instrument;
use vm0_model::{ApiError, ErrorCode, TokenId};

use crate::app::{App, AppError, Phase};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");
/// The route of a path that no route has.
const UNMATCHED: &str = "unmatched";
/// Routes that other programs ask all the time.
const STEADY_ROUTES: [&str; 2] = ["/health", super::monitor::PATH];
const VERSION: HeaderValue = HeaderValue::from_static("v1");

/// Nothing that is answered to a program may be shown as a page, or do anything if it is.
const API_CONTENT_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
/// A year.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Who a request turns out to be of, for its line in the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker(Arc<OnceLock<(String, Option<TokenId>)>>);

impl Asker {
    /// Notes the user or runner, and the token.
    pub(super) fn note(&self, name: &str, token: Option<TokenId>) {
        // The first one counts; there is no other.
        let _ = self.0.set((name.to_owned(), token));
    }
}

/// The outermost layer.
pub(super) async fn frame(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = format!("req_{}", hex::encode(rand::random::<[u8; 16]>()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    // Neither the path nor the query: one-time links and signatures are in them.
    let span = tracing::info_span!("request", id, method = method_label(&method), route);
    let asker = Asker::default();
    request.extensions_mut().insert(asker.clone());
    let began = Instant::now();
    let mut response = answer(&app, request, next).instrument(span.clone()).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = method_not_allowed(&method, response.headers());
    }
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.in_scope(|| log(route, status, took, &asker));
    app.meters
        .request(method_label(&method), route, status, took);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(API_VERSION, VERSION);
    protect(&app, headers);
    response
}

/// One line for each request. Those that come by themselves, all the time, are for debugging.
fn log(route: &str, status: u16, took: Duration, asker: &Asker) {
    let duration_ms = took.as_millis();
    let asker = asker.0.get();
    let user = asker.map(|(name, _)| name.as_str());
    let token = asker.and_then(|(_, token)| token.map(tracing::field::display));
    let steady = route.starts_with(super::runner::PREFIX) || STEADY_ROUTES.contains(&route);
    if steady {
        tracing::debug!(status, duration_ms, user, token, "answered");
    } else {
        tracing::info!(status, duration_ms, user, token, "answered");
    }
}

/// What an answer says of how it may be used, unless its handler has said so.
fn protect(app: &App, headers: &mut HeaderMap) {
    let defaults = [
        (header::CACHE_CONTROL, NO_STORE),
        (header::REFERRER_POLICY, NO_REFERRER),
        (header::CONTENT_SECURITY_POLICY, API_CONTENT_POLICY),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if app.settings.has_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
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
