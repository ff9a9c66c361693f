//! `/v1/volumes` and `/v1/artifacts` (API 8).

use std::borrow::Cow;
use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use vm0_model::limits::{CHUNKING_MIN_BYTES, JSON_BODY_MAX_BYTES, UPLOAD_BODY_MAX_BYTES};
use vm0_model::wire::page::Page;
use vm0_model::wire::storages::{
    DeclaredChunk, DeclaredFile, Storage, StorageDetail, StorageVersion, UploadSession,
};
use vm0_model::{ApiError, VersionId};

use super::extract::{JsonBytes, JsonObject, KindOfPath, PathIds, QueryValues};
use super::fields::Fields;
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, Caller, CommitRequest, UploadRequest};

pub(super) fn routes() -> Vec<Route> {
    let both = |method: Method, paths: [&'static str; 2], handler: MethodRouter<App>| {
        paths.map(|path| route(method.clone(), path, handler.clone()))
    };
    let (get_method, post_method) = (Method::GET, Method::POST);
    let by_id = ["/v1/volumes/{id}", "/v1/artifacts/{id}"];
    [
        both(
            get_method.clone(),
            ["/v1/volumes", "/v1/artifacts"],
            get(storage_list),
        ),
        both(
            post_method.clone(),
            ["/v1/volumes", "/v1/artifacts"],
            post(storage_create),
        ),
        both(get_method.clone(), by_id, get(storage_view)),
        both(Method::DELETE, by_id, delete(storage_delete)),
        both(
            get_method.clone(),
            ["/v1/volumes/{id}/versions", "/v1/artifacts/{id}/versions"],
            get(storage_version_list),
        ),
        both(
            post_method.clone(),
            ["/v1/volumes/{id}/upload", "/v1/artifacts/{id}/upload"],
            post(upload_create),
        ),
        both(
            post_method,
            ["/v1/volumes/{id}/commit", "/v1/artifacts/{id}/commit"],
            post(storage_commit),
        ),
        both(
            get_method,
            ["/v1/volumes/{id}/download", "/v1/artifacts/{id}/download"],
            get(storage_download),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn storage_list(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    query: QueryValues,
) -> HttpResult<Json<Page<Storage>>> {
    Ok(Json(
        app.storage_list(&caller, kind, query.get("name"), &query.page()?)
            .await?,
    ))
}

async fn storage_create(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<(StatusCode, Json<StorageDetail>)> {
    let storage = app
        .storage_create(&caller, kind, body.required_string("name")?)
        .await?;
    Ok((StatusCode::CREATED, Json(storage)))
}

async fn storage_view(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
) -> HttpResult<Json<StorageDetail>> {
    Ok(Json(app.storage_view(&caller, kind, ids.first()).await?))
}

async fn storage_delete(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
) -> HttpResult<StatusCode> {
    app.storage_delete(&caller, kind, ids.first()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn storage_version_list(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
    query: QueryValues,
) -> HttpResult<Json<Page<StorageVersion>>> {
    Ok(Json(
        app.storage_version_list(&caller, kind, ids.first(), &query.page()?)
            .await?,
    ))
}

async fn upload_create(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
    JsonBytes(body): JsonBytes<UPLOAD_BODY_MAX_BYTES>,
) -> HttpResult<Json<UploadSession>> {
    let request = upload_request(&body)?;
    Ok(Json(
        app.upload_create(&caller, kind, ids.first(), request)
            .await?,
    ))
}

async fn storage_commit(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
    JsonObject(body): JsonObject<JSON_BODY_MAX_BYTES>,
) -> HttpResult<Json<StorageVersion>> {
    let request = CommitRequest {
        upload_session_id: body.required_string("upload_session_id")?,
        message: body.message()?,
        expected: expected_version(&body)?,
    };
    Ok(Json(
        app.storage_commit(&caller, kind, ids.first(), request)
            .await?,
    ))
}

async fn storage_download(
    State(app): State<App>,
    caller: Caller,
    KindOfPath(kind): KindOfPath,
    ids: PathIds,
    query: QueryValues,
) -> HttpResult {
    let url = app
        .storage_download(&caller, kind, ids.first(), query.get("version_id"))
        .await?;
    let mut response: Response = StatusCode::FOUND.into_response();
    if let Ok(location) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn expected_version(body: &Fields) -> Result<Option<Option<VersionId>>, ApiError> {
    let field = "expected_version_id";
    match body.raw(field) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(_) => {
            let id = body.required_string(field)?.parse().map_err(|_| {
                ApiError::invalid(field, format!("{field} must be null or 64 hex digits"))
            })?;
            Ok(Some(Some(id)))
        }
    }
}

/// The declared files, and whether they are to be sent in parts. Each file is read on its own, so
/// that a million of them do not stand in memory as JSON trees.
fn upload_request(body: &[u8]) -> Result<UploadRequest, ApiError> {
    let fault = |param: &str, why: String| ApiError::invalid(param, why);
    let object: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(body).map_err(|error| {
            fault(
                "body",
                format!("The body is not a valid JSON object: {error}"),
            )
        })?;
    // It has no effect here, but a fault is a fault.
    if let Some(message) = object.get("message")
        && serde_json::from_str::<Option<String>>(message.get()).is_err()
    {
        return Err(fault("message", "message must be a string".to_owned()));
    }
    let parts = match object.get("parts") {
        Some(parts) => serde_json::from_str::<Option<bool>>(parts.get())
            .map_err(|_| fault("parts", "parts must be a boolean".to_owned()))?,
        None => None,
    };
    let parts = parts.unwrap_or_default();
    let files = object.get("files").filter(|value| value.get() != "null");
    let files = files.ok_or_else(|| fault("files", "files is required".to_owned()))?;
    let files: Vec<&RawValue> = serde_json::from_str(files.get())
        .map_err(|_| fault("files", "files must be a list".to_owned()))?;
    let file = |(index, file): (usize, &RawValue)| {
        let file = Fields::parse_part(&format!("files.{index}"), file.get())?;
        Ok(DeclaredFile {
            path: file.required_string("path")?,
            size: file
                .integer("size", 0..=u64::MAX)?
                .ok_or_else(|| file.missing("size"))?,
            hash: file.string("hash")?,
            executable: file.boolean("executable")?,
            link_target: file.string("link_target")?,
            chunks: declared_chunks(&file)?.filter(|_| parts),
        })
    };
    let files = files.into_iter().enumerate().map(file);
    let files = files.collect::<Result<_, _>>()?;
    Ok(UploadRequest { files, parts })
}

fn declared_chunks(file: &Fields) -> Result<Option<Vec<DeclaredChunk>>, ApiError> {
    let Some(chunks) = file.raw("chunks").filter(|chunks| !chunks.is_null()) else {
        return Ok(None);
    };
    let path = file.path("chunks");
    let fault = |why: String| ApiError::invalid(path.clone(), format!("{path} {why}"));
    let chunks = Vec::<DeclaredChunk>::deserialize(chunks)
        .map_err(|error| fault(format!("is not a list of chunks: {error}")))?;
    let sizes = 1..=CHUNKING_MIN_BYTES;
    if chunks
        .iter()
        .all(|chunk| sizes.contains(&chunk.size.into()))
    {
        Ok(Some(chunks))
    } else {
        Err(fault("must have 1 byte to 4 MiB each".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(body: &str) -> String {
        upload_request(body.as_bytes()).unwrap_err().param.unwrap()
    }

    #[test]
    fn a_fault_of_a_declaration_names_the_file_and_the_field() {
        assert_eq!(param("["), "body");
        assert_eq!(param("[]"), "body");
        assert_eq!(param("{}"), "files");
        assert_eq!(param(r#"{"files":null}"#), "files");
        assert_eq!(param(r#"{"files":{}}"#), "files");
        assert_eq!(param(r#"{"files":[1]}"#), "files.0");
        assert_eq!(
            param(r#"{"files":[{"path":"a","size":1},{"size":1}]}"#),
            "files.1.path"
        );
        assert_eq!(
            param(r#"{"files":[{"path":"a","size":1.5}]}"#),
            "files.0.size"
        );
        assert_eq!(
            param(r#"{"files":[{"path":"a","size":-1}]}"#),
            "files.0.size"
        );
        assert_eq!(
            param(r#"{"files":[{"path":"a","size":1,"hash":1}]}"#),
            "files.0.hash"
        );
        assert_eq!(param(r#"{"files":[],"message":{}}"#), "message");
        assert_eq!(param(r#"{"files":[],"parts":1}"#), "parts");
        let bad = r#"{"files":[{"path":"a","size":1,"chunks":[{"hash":"x","size":1}]}]}"#;
        assert_eq!(param(bad), "files.0.chunks");
        let none = |parts| UploadRequest {
            files: Vec::new(),
            parts,
        };
        for (body, parts) in [
            (r#"{"files":[],"x":1}"#, false),
            (r#"{"files":[],"message":null,"parts":null}"#, false),
            (r#"{"files":[],"parts":true}"#, true),
        ] {
            assert_eq!(upload_request(body.as_bytes()), Ok(none(parts)), "{body}");
        }
    }
}
