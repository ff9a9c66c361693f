//! Error answers: one response per status, with the codes that it can have and an example of each.

use std::collections::BTreeSet;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref};
use vm0_model::error::{ApiError, ErrorBody, ErrorCode, ErrorDetail};

use super::body::Body;
use super::form;

/// What any operation may answer, with the name of the shared response.
pub(super) const SHARED: [(ErrorCode, &str); 6] = [
    (ErrorCode::InvalidApiKey, "InvalidApiKey"),
    (ErrorCode::RateLimitExceeded, "RateLimitExceeded"),
    (ErrorCode::MethodNotAllowed, "MethodNotAllowed"),
    (ErrorCode::PayloadTooLarge, "PayloadTooLarge"),
    (ErrorCode::InternalError, "InternalError"),
    (ErrorCode::ServiceUnavailable, "ServiceUnavailable"),
];

/// The body of every error.
pub(super) fn body() -> Body {
    let mut detail = Body::object::<ErrorDetail>();
    form::narrow(
        &mut detail,
        "code",
        ErrorCode::ALL.iter().map(|code| code.as_str()),
    );
    let kinds: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.kind()).collect();
    form::narrow(&mut detail, "type", kinds);
    let detail = Body::made("ErrorDetail", detail, []);
    Body::made("ErrorBody", Body::object::<ErrorBody>(), [detail])
}

/// The answer with these codes, all of one status.
pub(super) fn response(codes: &[ErrorCode]) -> Response {
    let meaning = |code: &ErrorCode| format!("`{code}`: {}", code.meaning());
    let description: Vec<_> = codes.iter().map(meaning).collect();
    let examples = codes.iter().map(|&code| {
        let value = serde_json::to_value(sample(code).body()).unwrap_or_default();
        (
            code.as_str(),
            ExampleBuilder::new().value(Some(value)).build(),
        )
    });
    let content = ContentBuilder::new()
        .schema(Some(body().reference()))
        .examples_from_iter(examples)
        .build();
    let mut response = framed(ResponseBuilder::new().description(description.join("\n\n")))
        .content("application/json", content);
    for &code in codes {
        if let Some(header) = header(code) {
            response = response.header_ref(header, header_reference(header));
        }
    }
    response.build()
}

/// The headers of every answer.
pub(super) fn framed(response: ResponseBuilder) -> ResponseBuilder {
    ["X-Request-Id", "X-API-Version"]
        .into_iter()
        .fold(response, |response, name| {
            response.header_ref(name, header_reference(name))
        })
}

/// Where a shared header stands in the document.
pub(super) fn header_reference(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

fn header(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::InvalidApiKey => Some("WWW-Authenticate"),
        ErrorCode::MethodNotAllowed => Some("Allow"),
        ErrorCode::ConcurrentRunLimitExceeded
        | ErrorCode::RateLimitExceeded
        | ErrorCode::ServiceUnavailable => Some("Retry-After"),
        _ => None,
    }
}

/// An error of each code as a caller may get it.
fn sample(code: ErrorCode) -> ApiError {
    let (message, param) = match code {
        ErrorCode::InvalidParameter => ("limit must be an integer from 1 to 100", Some("limit")),
        ErrorCode::MissingParameter => (
            "Must provide one of: agent, agent_id, session_id, or checkpoint_id",
            None,
        ),
        ErrorCode::InvalidState => (
            "Run cannot be cancelled: current status is 'cancelled'",
            None,
        ),
        ErrorCode::UploadIncomplete => (
            "Manifest not uploaded - upload failed or incomplete",
            Some("upload_session_id"),
        ),
        ErrorCode::UploadInvalid => (
            "The archive has an undeclared member 'b.txt'",
            Some("upload_session_id"),
        ),
        ErrorCode::InvalidApiKey => ("Invalid API key provided", None),
        ErrorCode::InvalidSignature => ("The URL has expired", None),
        ErrorCode::ResourceNotFound => ("No such agent: 'my-agent'", None),
        ErrorCode::MethodNotAllowed => ("Method PATCH is not allowed here", None),
        ErrorCode::ResourceAlreadyExists => ("Volume 'input-data' already exists", Some("name")),
        ErrorCode::AgentHasActiveRuns => ("The agent has pending or running runs", None),
        ErrorCode::SessionBusy => (
            "The session has a pending or running run",
            Some("session_id"),
        ),
        ErrorCode::IdempotencyKeyReused => (
            "The idempotency key was used with another body",
            Some("Idempotency-Key"),
        ),
        ErrorCode::VersionConflict => (
            "The current version is not the expected one",
            Some("expected_version_id"),
        ),
        ErrorCode::PayloadTooLarge => (
            "The request body is larger than 1048576 bytes",
            Some("body"),
        ),
        ErrorCode::ConcurrentRunLimitExceeded => (
            "You have reached the concurrent agent run limit. Please wait for your current run \
             to complete before starting a new one.",
            None,
        ),
        ErrorCode::RateLimitExceeded => ("Too many requests. Please try again later.", None),
        ErrorCode::InternalError => ("An internal error occurred. Please try again later.", None),
        ErrorCode::ServiceUnavailable => (
            "The service is temporarily unavailable. Please try again later.",
            None,
        ),
    };
    let error = ApiError::new(code, message);
    match param {
        Some(param) => error.with_param(param),
        None => error,
    }
}
