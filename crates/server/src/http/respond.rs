//! How an error is answered: the one place that decides status, body and headers; and how a PUT is.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use vm0_model::error::{ApiError, ErrorBody, ErrorCode, ErrorDetail};
use vm0_model::wire::runner::STALE_EPOCH;

use crate::app::{AppError, PutOutcome};

/// Seconds after which a caller may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// What a handler answers.
pub(crate) type HttpResult<T = Response> = Result<T, AppError>;

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        if let Self::StaleEpoch = self {
            return stale_epoch();
        }
        let outside = self.outside();
        if outside.code == ErrorCode::InternalError {
            tracing::error!(error = &self as &dyn std::error::Error, "request failed");
        }
        let mut response = api_error(&outside);
        if let Self::TooMany { retry_after } = self {
            let seconds = HeaderValue::from(seconds_up(retry_after));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// The answer to a PUT: 201 for what is new, 200 for what took the place of another.
pub(super) fn put<T>(outcome: PutOutcome<T>) -> (StatusCode, Json<T>) {
    match outcome {
        PutOutcome::Created(item) => (StatusCode::CREATED, Json(item)),
        PutOutcome::Replaced(item) => (StatusCode::OK, Json(item)),
    }
}

fn api_error(error: &ApiError) -> Response {
    let status =
        StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(error.body())).into_response();
    if let Some((name, value)) = code_header(error.code) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn code_header(code: ErrorCode) -> Option<(HeaderName, HeaderValue)> {
    match code {
        ErrorCode::InvalidApiKey => {
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
        ErrorCode::ConcurrentRunLimitExceeded | ErrorCode::ServiceUnavailable => {
            Some((header::RETRY_AFTER, RETRY_AFTER))
        }
        _ => None,
    }
}

/// Whole seconds, at least one.
pub(super) fn seconds_up(span: Duration) -> u64 {
    span.as_millis().div_ceil(1000).clamp(1, 86_400) as u64
}

fn stale_epoch() -> Response {
    let detail = ErrorDetail {
        kind: ErrorCode::SessionBusy.kind().to_owned(),
        code: STALE_EPOCH.to_owned(),
        message: "The run is no longer this runner's".to_owned(),
        param: Some("epoch".to_owned()),
    };
    (StatusCode::CONFLICT, Json(ErrorBody { error: detail })).into_response()
}
