//! What handlers take from a request: ids of the path, the query, a JSON body of limited size.

use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use vm0_model::{ApiError, ErrorCode, StorageKind, Timestamp, limits};

use super::fields::Fields;
use crate::app::{AppError, PageRequest};

/// A body over its limit is read to its end up to this many bytes, so that a caller that is still
/// sending sees the answer instead of a broken connection.
const DRAIN_MAX_BYTES: u64 = 64 << 20;
/// And for at most this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The ids and names in the path, as given, decoded. An empty segment is an empty id.
pub(super) struct PathIds(Vec<String>);

impl PathIds {
    /// The first id.
    pub(super) fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The second id.
    pub(super) fn second(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let ids = match parts.extract::<RawPathParams>().await {
            Ok(params) => params.iter().map(|(_, value)| value.to_owned()).collect(),
            // Not UTF-8, and so no id.
            Err(_) => vec![char::REPLACEMENT_CHARACTER.to_string(); 2],
        };
        Ok(Self(ids))
    }
}

/// Which of the two kinds of storages a path is about.
pub(super) struct KindOfPath(pub(super) StorageKind);

impl<S: Send + Sync> FromRequestParts<S> for KindOfPath {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let volumes = parts.uri.path().starts_with("/v1/volumes");
        Ok(Self(if volumes {
            StorageKind::Volume
        } else {
            StorageKind::Artifact
        }))
    }
}

/// The query: plain strings, of a repeated key the last value.
pub(super) struct QueryValues(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryValues {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        Ok(Self(
            Query::try_from_uri(&parts.uri)
                .map(|Query(pairs)| pairs)
                .unwrap_or_default(),
        ))
    }
}

impl QueryValues {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// `limit` and `cursor` (API 1.6).
    pub(super) fn page(&self) -> Result<PageRequest, ApiError> {
        let limit = match self.get("limit") {
            None => limits::PAGE_DEFAULT,
            Some(text) => decimal(text)
                .filter(|limit| (1..=limits::PAGE_MAX).contains(limit))
                .ok_or_else(|| {
                    let max = limits::PAGE_MAX;
                    ApiError::invalid("limit", format!("limit must be an integer from 1 to {max}"))
                })?,
        };
        let cursor = self
            .get("cursor")
            .filter(|cursor| !cursor.is_empty())
            .map(str::to_owned);
        Ok(PageRequest { limit, cursor })
    }

    /// The time under a key.
    pub(super) fn time(&self, key: &str) -> Result<Option<Timestamp>, ApiError> {
        let parse = |text: &str| text.parse::<Timestamp>();
        self.get(key)
            .map(parse)
            .transpose()
            .map_err(|error| ApiError::invalid(key, format!("{key} {error}")))
    }

    /// One of a set of values under a key.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let message = format!("{key} must be one of {}", names.join(", "));
                Err(ApiError::invalid(key, message))
            }
        }
    }
}

fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A JSON object of at most `LIMIT` bytes.
pub(super) struct JsonObject<const LIMIT: usize>(pub(super) Fields);

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for JsonObject<LIMIT> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        let JsonBytes(bytes) = JsonBytes::<LIMIT>::from_request(request, state).await?;
        Ok(Self(Fields::parse(&bytes)?))
    }
}

/// The bytes of a JSON body of at most `LIMIT` bytes.
pub(super) struct JsonBytes<const LIMIT: usize>(pub(super) Bytes);

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for JsonBytes<LIMIT> {
    type Rejection = AppError;

    async fn from_request(request: Request, _: &S) -> Result<Self, AppError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, LIMIT).await?;
        if !is_json(&parts.headers) {
            let message = "Content-Type must be application/json";
            return Err(ApiError::invalid("Content-Type", message).into());
        }
        Ok(Self(bytes))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// `413 payload_too_large` for a body.
pub(super) fn too_large(limit: u64) -> AppError {
    let message = format!("The request body is larger than {limit} bytes");
    AppError::from(ApiError::new(ErrorCode::PayloadTooLarge, message).with_param("body"))
}

fn declared_length(headers: &HeaderMap) -> u64 {
    let value = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The bytes of a body of at most this many.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, AppError> {
    let mut stream = body.into_data_stream();
    if declared_length(headers) > limit as u64 {
        drain_unless_expecting(headers, &mut stream).await;
        return Err(too_large(limit as u64));
    }
    let read = async {
        let mut bytes = BytesMut::new();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| cut_off())?;
            if bytes.len() + part.len() > limit {
                drain(&mut stream).await;
                return Err(too_large(limit as u64));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(limits::REQUEST_READ_TIMEOUT, read)
        .await
        .unwrap_or_else(|_| Err(cut_off()))
}

fn cut_off() -> AppError {
    ApiError::invalid("body", "The request body did not arrive completely").into()
}

/// Reads what a caller is sending already; one that waits for `100 Continue` sends nothing.
pub(super) async fn drain_unless_expecting(
    headers: &HeaderMap,
    stream: &mut axum::body::BodyDataStream,
) {
    if !headers.contains_key(header::EXPECT) && declared_length(headers) <= DRAIN_MAX_BYTES {
        drain(stream).await;
    }
}

async fn drain(stream: &mut axum::body::BodyDataStream) {
    let read = async {
        let mut left = DRAIN_MAX_BYTES;
        while let Some(Ok(part)) = stream.next().await {
            left = left.saturating_sub(part.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    // What has not come by then is given up.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> QueryValues {
        QueryValues(
            Query::try_from_uri(&format!("/x?{text}").parse().unwrap())
                .unwrap()
                .0,
        )
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        assert_eq!(query("limit=1&limit=7").page().unwrap().limit, 7);
    }

    #[test]
    fn limits_are_decimal_digits_from_1_to_100() {
        for text in [
            "limit=0",
            "limit=101",
            "limit=",
            "limit=-1",
            "limit=1.0",
            "limit=%2B5",
            "limit=x",
        ] {
            let error = query(text).page().unwrap_err();
            assert_eq!(error.param.as_deref(), Some("limit"), "{text}");
        }
        assert_eq!(query("limit=100").page().unwrap().limit, 100);
        assert_eq!(
            query("cursor=").page().unwrap(),
            PageRequest {
                limit: 20,
                cursor: None
            }
        );
    }
}
