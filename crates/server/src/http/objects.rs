//! Signed URLs: objects of uploads are put here, archives are got here (API 8.4, 8.6).

use axum::BoxError;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use percent_encoding::percent_decode_str;
use vm0_blob::{BlobError, KeptArchive, UploadObject};
use vm0_model::{ApiError, ErrorCode, limits};

use super::extract::{PathIds, QueryValues, drain_unless_expecting};
use super::range::{ByteRange, partial};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, ArchiveOf, SignedUrl};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(
            Method::PUT,
            "/objects/uploads/{session}/{object}",
            put(object_put),
        ),
        route(
            Method::GET,
            "/objects/archives/{storage}/{version}/{manifest}/{file_name}",
            get(object_archive),
        ),
    ]
}

fn check(app: &App, method: &str, path: &str, query: &QueryValues) -> Result<(), ApiError> {
    let (expires, signature) = (query.get("expires"), query.get("signature"));
    app.check_signature(SignedUrl {
        method,
        path,
        expires,
        signature,
    })
}

/// The segments of a path that this server has signed.
fn segment(path: &str, index: usize) -> &str {
    path.split('/').nth(index + 3).unwrap_or_default()
}

async fn object_put(
    State(app): State<App>,
    ids: PathIds,
    query: QueryValues,
    request: Request,
) -> HttpResult<StatusCode> {
    let (parts, body) = request.into_parts();
    let mut stream = body.into_data_stream();
    if let Err(error) = check(&app, "PUT", parts.uri.path(), &query) {
        drain_unless_expecting(&parts.headers, &mut stream).await;
        return Err(error.into());
    }
    let object = UploadObject::to_be_put(ids.second());
    let unknown = || ApiError::new(ErrorCode::InvalidSignature, "The URL names no object");
    let object = object.ok_or_else(unknown)?;
    let coming = unless_stalled(&mut stream);
    let put = app.object_put(ids.first(), object, coming).await;
    if put.is_err() {
        drain_unless_expecting(&parts.headers, &mut stream).await;
    }
    put.map(|()| StatusCode::OK)
}

/// The parts of a body; one that does not come in time ends it with an error.
fn unless_stalled(body: &mut BodyDataStream) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    stream::unfold(body, |body| async move {
        let part = tokio::time::timeout(limits::REQUEST_READ_TIMEOUT, body.next()).await;
        let part = match part {
            Ok(part) => part?.map_err(BoxError::from),
            Err(late) => Err(late.into()),
        };
        Some((part, body))
    })
}

async fn object_archive(
    State(app): State<App>,
    query: QueryValues,
    request: Request,
) -> HttpResult {
    let path = request.uri().path();
    check(&app, "GET", path, &query)?;
    let of = archive_of(path)?;
    let etag = format!("\"{}\"", of.manifest);
    let range = wanted_range(&request, &etag);
    let mut response = match range {
        _ if request.method() == Method::HEAD => archive_head(&app, of).await?,
        Some(range) => match app.object_archive_finished(of).await? {
            Some(kept) => archive_part(kept, range).await?,
            None => archive_whole(&app, of).await?,
        },
        None => archive_whole(&app, of).await?,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let gzip = HeaderValue::from_static("application/gzip");
    headers.insert(header::CONTENT_TYPE, gzip);
    let file_name = percent_decode_str(segment(path, 3)).decode_utf8_lossy();
    let disposition = format!("attachment; filename=\"{file_name}\"");
    for (name, value) in [
        (header::CONTENT_DISPOSITION, disposition),
        (header::ETAG, etag),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

fn archive_of(path: &str) -> Result<ArchiveOf, ApiError> {
    let unknown = || ApiError::new(ErrorCode::InvalidSignature, "The URL names no version");
    Ok(ArchiveOf {
        storage: segment(path, 0).parse().map_err(|_| unknown())?,
        version: segment(path, 1).parse().map_err(|_| unknown())?,
        manifest: segment(path, 2).parse().map_err(|_| unknown())?,
    })
}

/// The range that is asked for, unless `If-Range` names other bytes than those of `etag`.
fn wanted_range(request: &Request, etag: &str) -> Option<ByteRange> {
    let headers = request.headers();
    let range = ByteRange::parse(headers.get(header::RANGE)?)?;
    let same = |value: &HeaderValue| value.as_bytes() == etag.as_bytes();
    headers
        .get(header::IF_RANGE)
        .is_none_or(same)
        .then_some(range)
}

async fn archive_head(app: &App, of: ArchiveOf) -> HttpResult {
    let size = app.object_archive_size(of).await?;
    // An empty body would say that the archive has no bytes.
    let unsent = futures::stream::empty::<std::io::Result<bytes::Bytes>>();
    Ok(sized(Body::from_stream(unsent), size))
}

async fn archive_whole(app: &App, of: ArchiveOf) -> HttpResult {
    let archive = app.object_archive(of).await?;
    Ok(sized(Body::from_stream(archive.bytes), archive.size))
}

async fn archive_part(kept: KeptArchive, range: ByteRange) -> HttpResult {
    let size = kept.size();
    let Some(range) = range.within(size) else {
        let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        if let Ok(described) = HeaderValue::from_str(&format!("bytes */{size}")) {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_RANGE, described);
        }
        return Ok(response);
    };
    let bytes = kept.range(range.clone()).await.map_err(BlobError::Io)?;
    let mut response = Body::from_stream(bytes).into_response();
    partial(&mut response, &range, size);
    Ok(response)
}

fn sized(body: Body, size: Option<u64>) -> Response {
    let mut response = body.into_response();
    if let Some(size) = size {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, size.into());
    }
    response
}
