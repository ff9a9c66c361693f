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
use vm0_blob::UploadObject;
use vm0_model::{ApiError, ErrorCode, limits};

use super::extract::{PathIds, QueryValues, drain_unless_expecting};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, SignedUrl};

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
    let names = [UploadObject::Archive, UploadObject::Manifest];
    let object = names
        .into_iter()
        .find(|object| object.file_name() == ids.second());
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
    let unknown = || ApiError::new(ErrorCode::InvalidSignature, "The URL names no version");
    let manifest = segment(path, 2).parse().map_err(|_| unknown())?;
    let file_name = percent_decode_str(segment(path, 3))
        .decode_utf8_lossy()
        .into_owned();
    let archive = app.object_archive(manifest).await?;
    let mut response: Response = Body::from_stream(archive).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/gzip"),
    );
    let disposition = format!("attachment; filename=\"{file_name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
