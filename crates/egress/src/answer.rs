//! What the gateway itself answers over HTTP.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use serde_json::json;

use crate::broker::Stray;
use crate::host::Target;
use crate::policy::Rule;

/// A body on its way to a client.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

const NETWORK: HeaderName = HeaderName::from_static("x-vm0-network");

/// The tunnel is open.
pub(crate) fn established() -> Response<Body> {
    Response::new(Empty::new().map_err(|never| match never {}).boxed())
}

/// The policy refuses `target`.
pub(crate) fn denied(target: &Target, rule: Rule) -> Response<Body> {
    let message = format!("The network policy of this agent denies {target} ({rule})");
    let mut response = error(StatusCode::FORBIDDEN, "network_policy", &message);
    response
        .headers_mut()
        .insert(NETWORK, HeaderValue::from_static("denied"));
    response
}

/// Two names for one destination disagree.
pub(crate) fn mismatch(target: &Target) -> Response<Body> {
    let message = format!("The Host header does not agree with {target}");
    let mut response = error(StatusCode::FORBIDDEN, "network_policy", &message);
    response
        .headers_mut()
        .insert(NETWORK, HeaderValue::from_static("denied"));
    response
}

/// The request carries a placeholder where its secret may not be.
pub(crate) fn stray(stray: &Stray) -> Response<Body> {
    let message = format!(
        "The request carries the {stray}; that secret is put only into its own place of requests \
         to its own hosts"
    );
    let mut response = error(StatusCode::FORBIDDEN, "network_policy", &message);
    response
        .headers_mut()
        .insert(NETWORK, HeaderValue::from_static("denied"));
    response
}

/// The answer to a request with a secret cannot be searched for it.
pub(crate) fn hidden(target: &Target) -> Response<Body> {
    unreachable(
        target,
        "encoded its answer to a request with a secret, though asked not to",
    )
}

/// The request is not one that a proxy can read.
pub(crate) fn bad_request(message: &str) -> Response<Body> {
    error(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

/// `target` does not resolve, does not answer, or does not speak HTTP.
pub(crate) fn unreachable(target: &Target, what: &str) -> Response<Body> {
    error(
        StatusCode::BAD_GATEWAY,
        "network_error",
        &format!("{target} {what}"),
    )
}

/// The run is over.
pub(crate) fn closed() -> Response<Body> {
    error(
        StatusCode::SERVICE_UNAVAILABLE,
        "network_error",
        "The gateway is closed",
    )
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    let text = json!({"error": {"type": kind, "message": message}}).to_string();
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
