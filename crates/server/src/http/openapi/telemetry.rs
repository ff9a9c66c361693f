//! What a run emits: events, logs and metrics (API 5–7).

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::{Content, ContentBuilder};
use vm0_model::RunId;
use vm0_model::wire::runs::{CompleteEvent, HeartbeatEvent, LogLine, Output, StatusEvent};

use super::agents::page;
use super::body::Body;
use super::form;
use super::operation::Described;
use crate::app::RunMetrics;

/// `data` of the event `error`, after which the stream closes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct StreamError {
    /// For people.
    message: String,
    /// `run_not_found` if the record of the run vanishes, `internal_error` if the server cannot go on.
    code: String,
}

pub(super) fn operations() -> Vec<Described> {
    vec![run_events(), run_log_list(), run_metrics()]
}

fn telemetry(name: &str, path: &'static str) -> Described {
    Described::new(Method::GET, path, name, "Runs").id::<RunId>("Id of the run.")
}

const EVENTS: &str = "An event stream, or a page if `Accept` lists `application/json` and not \
    `text/event-stream`.\n\nAn event of the stream is a line `id: <sequence>` (only `output` has \
    one), a line `event: <name>`, one line `data: <compact JSON>` and an empty line. First comes \
    `status`; then every recorded `output` after the starting point, in order; then, while the run \
    is not terminal, each new `output` at once, `status` whenever it changes and `heartbeat` every \
    15 s; at the end `complete`, and the server closes. A client that was cut off resumes with the \
    last `id` it saw, and misses and repeats nothing; after `complete` it does not reconnect.\n\n\
    `x-event-data` names the schema of each event's `data`. Sequences count 1, 2, 3, … without \
    gaps. The page is ascending by sequence, and its `cursor` wins over the starting point.";

const START: &str = "Only outputs after this sequence number, which may have the prefix `evt_`; \
    anything else counts as 0.";

fn run_events() -> Described {
    let stream_parts = [
        ("status", Body::of::<StatusEvent>()),
        ("output", Body::of::<Output>()),
        ("heartbeat", Body::of::<HeartbeatEvent>()),
        ("complete", Body::of::<CompleteEvent>()),
        ("error", stream_error()),
    ];
    let outputs = Body::of::<Output>().page();
    let contents = [
        ("text/event-stream", event_stream(&stream_parts)),
        (
            "application/json",
            ContentBuilder::new()
                .schema(Some(outputs.reference()))
                .example(Some(page(output())))
                .build(),
        ),
    ];
    telemetry("run_events", "/v1/runs/{id}/events")
        .text("Follow the events of a run", EVENTS)
        .query("last_event_id", form::text(), START)
        .header(
            "Last-Event-ID",
            form::text(),
            "The same, unless the query says it.",
        )
        .paged()
        .content(200, "The events.", contents)
        .also(
            stream_parts
                .into_iter()
                .flat_map(|(_, body)| body.into_answer()),
        )
        .also(outputs.into_answer())
}

fn stream_error() -> Body {
    let mut object = Body::object::<StreamError>();
    form::narrow(&mut object, "code", ["run_not_found", "internal_error"]);
    Body::made("StreamError", object, [])
}

fn event_stream(parts: &[(&str, Body)]) -> Content {
    let data: serde_json::Map<String, Value> = parts
        .iter()
        .map(|(name, body)| (name.to_string(), json!(body.reference())))
        .collect();
    let extensions = ExtensionsBuilder::new().add("x-event-data", data).build();
    ContentBuilder::new()
        .example(Some(json!(STREAM)))
        .extensions(Some(extensions))
        .build()
}

const STREAM: &str = concat!(
    "event: status\n",
    r#"data: {"status":"completed","run_id":"019bc134-7840-7cba-a551-2100f80b56fc"}"#,
    "\n\nid: 1\nevent: output\n",
    r#"data: {"sequence":1,"type":"system","data":{"type":"system","subtype":"init","sequenceNumber":1},"timestamp":"2026-01-15T10:30:04.120Z"}"#,
    "\n\nevent: complete\n",
    r#"data: {"status":"completed","output":"I am an agent.","error":null}"#,
    "\n\n",
);

fn output() -> Value {
    json!({
        "sequence": 1,
        "type": "system",
        "data": { "type": "system", "subtype": "init", "sequenceNumber": 1 },
        "timestamp": "2026-01-15T10:30:04.120Z",
    })
}

const LOGS: &str = "What the platform (`system`), the agent (`agent`) and the gateway (`network`) \
    have said, merged in the order of time; entries of one time keep the order of their arrival.\n\n\
    `metadata` of an `agent` entry is `{\"sequenceNumber\":int,\"eventType\":string,\"eventData\":object}`. \
    That of a `network` entry is, for a request, `{\"method\":string,\"url\":string,\"status\":int,\
    \"duration\":int,\"requestSize\":int,\"responseSize\":int,\"rule\":string,\"secrets\":[string]}` with \
    milliseconds and bytes, and for a connection \
    `{\"mode\":string,\"action\":string,\"host\":string,\"port\":int,\"rule\":string}`. A `system` entry has \
    none.";

fn run_log_list() -> Described {
    let kinds = form::choice(["agent", "system", "network", "all"]);
    let levels = form::choice(["debug", "info", "warn", "error"]);
    telemetry("run_log_list", "/v1/runs/{id}/logs")
        .text("Get the log of a run", LOGS)
        .query("type", kinds, "Only this log; `all` by default.")
        .query("level", levels, "Exactly this level, not a threshold.")
        .query("since", form::time(), "Not before this time.")
        .query("until", form::time(), "Not after this time.")
        .query(
            "order",
            form::choice(["asc", "desc"]),
            "By time; `asc` by default.",
        )
        .paged()
        .answer(
            200,
            "A page of entries. `cursor` also takes a bare time: the entries strictly after it \
             (`asc`) or before it (`desc`).",
            Body::of::<LogLine>().page(),
            page(log_line()),
        )
}

fn log_line() -> Value {
    json!({
        "timestamp": "2026-01-15T10:30:04.120Z",
        "type": "agent",
        "level": "info",
        "message": r#"[system] {"type":"system","subtype":"init","sequenceNumber":1}"#,
        "metadata": {
            "sequenceNumber": 1,
            "eventType": "system",
            "eventData": { "type": "system", "subtype": "init", "sequenceNumber": 1 },
        },
    })
}

const METRICS: &str = "All samples in one answer, ascending by time: one when the agent starts, one \
    every 5 s, one at the end.";

fn run_metrics() -> Described {
    telemetry("run_metrics", "/v1/runs/{id}/metrics")
        .text("Get what a run has used", METRICS)
        .answer(
            200,
            "The samples and their summary.",
            Body::of::<RunMetrics>(),
            metrics(),
        )
}

fn metrics() -> Value {
    json!({
        "data": [{
            "timestamp": "2026-01-15T10:30:01.420Z", "cpu_percent": 12.5,
            "memory_used_mb": 102.4, "memory_total_mb": 2048.0,
            "disk_used_mb": 1.25, "disk_total_mb": 10240.0, "memory_bytes": 107_374_182,
            "network_rx_bytes": 5120, "network_tx_bytes": 2048,
        }],
        "summary": {
            "avg_cpu_percent": 12.5, "cpu_avg_percent": 12.5, "max_memory_used_mb": 102.4,
            "memory_max_bytes": 107_374_182, "network_rx_bytes": 5120,
            "network_tx_bytes": 2048, "total_duration_ms": 59_000,
        },
        "pagination": { "has_more": false, "next_cursor": null },
    })
}
