//! `/v1/runs/:id/events`: a page or an event stream (API 5).

use std::convert::Infallible;
use std::fmt::Write;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use serde_json::json;

use super::extract::{PathIds, QueryValues};
use super::respond::HttpResult;
use super::router::{Route, route};
use crate::app::{App, AppError, Caller, EventStart, RunEventStream, StreamItem, output};

/// Events that are there together leave together, up to about so many bytes.
const PIECE_BYTES: usize = 64 << 10;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/runs/{id}/events", get(run_events))]
}

async fn run_events(
    State(app): State<App>,
    caller: Caller,
    ids: PathIds,
    query: QueryValues,
    request: Request,
) -> HttpResult {
    let start = starting_point(&query, request.headers());
    if wants_page(request.headers()) {
        let page = app
            .run_event_list(&caller, ids.first(), start, &query.page()?)
            .await?;
        return Ok(Json(page).into_response());
    }
    let events = app.run_event_stream(&caller, ids.first(), start).await?;
    Ok(event_stream(events, request.version()))
}

fn starting_point(query: &QueryValues, headers: &HeaderMap) -> EventStart {
    if let Some(given) = query.get("last_event_id") {
        return EventStart::parse(given);
    }
    let header = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok());
    header.map_or(EventStart::BEGINNING, EventStart::parse)
}

/// `Accept` lists `application/json` and not `text/event-stream`.
fn wants_page(headers: &HeaderMap) -> bool {
    let lists = |wanted: &str| {
        headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                let types = value.split(',').filter_map(|part| part.split(';').next());
                types
                    .map(str::trim)
                    .any(|media_type| media_type.eq_ignore_ascii_case(wanted))
            })
    };
    lists("application/json") && !lists("text/event-stream")
}

fn event_stream(events: RunEventStream, version: Version) -> Response {
    let body = stream::unfold(events, |mut events| async move {
        let mut text = frame(events.next().await?);
        while text.len() < PIECE_BYTES
            && let Some(item) = events.ready()
        {
            text.push_str(&frame(item));
        }
        Some((Ok::<_, Infallible>(Bytes::from(text)), events))
    });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    if version == Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    response
}

fn frame(item: StreamItem) -> String {
    let framed = match item {
        StreamItem::Status(status) => event("status", None, &status),
        StreamItem::Output(raw) => {
            let seq = raw.seq;
            output(&raw).and_then(|output| event("output", Some(seq), &output))
        }
        StreamItem::Heartbeat(heartbeat) => event("heartbeat", None, &heartbeat),
        StreamItem::Complete(complete) => event("complete", None, &complete),
        StreamItem::Vanished => {
            let data = json!({ "message": "Run not found", "code": "run_not_found" });
            event("error", None, &data)
        }
        StreamItem::Failed(error) => Err(error),
    };
    framed.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an event stream failed"
        );
        let data = json!({ "message": error.outside().message, "code": "internal_error" });
        event("error", None, &data).unwrap_or_default()
    })
}

/// One event: the lines `id`, `event` and `data`, and an empty line.
fn event(name: &str, id: Option<u64>, data: &impl Serialize) -> Result<String, AppError> {
    let mut text = String::new();
    let corrupt = |source| AppError::Corrupt {
        what: "event",
        source,
    };
    let data = serde_json::to_string(data).map_err(corrupt)?;
    if let Some(id) = id {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "id: {id}");
    }
    let _ = write!(text, "event: {name}\ndata: {data}\n\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (header::ACCEPT, value)).collect()
    }

    #[test]
    fn only_a_client_that_accepts_json_and_no_stream_gets_a_page() {
        assert!(wants_page(&accept(&["application/json"])));
        assert!(wants_page(&accept(&[
            "text/html",
            "*/*, Application/JSON;q=0.5"
        ])));
        for other in [
            &[][..],
            &["*/*"],
            &["text/event-stream"],
            &["application/json, text/event-stream"],
            &["application/json", "text/event-stream;q=0.1"],
            &["application/jsonl"],
        ] {
            assert!(!wants_page(&accept(other)), "{other:?}");
        }
    }

    #[test]
    fn an_event_is_framed_in_exactly_its_lines() {
        let framed = event("output", Some(7), &json!({ "a": "x\ny" })).unwrap();
        assert_eq!(framed, "id: 7\nevent: output\ndata: {\"a\":\"x\\ny\"}\n\n");
        let framed = event("status", None, &json!({})).unwrap();
        assert_eq!(framed, "event: status\ndata: {}\n\n");
    }
}
