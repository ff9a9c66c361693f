//! Schedules.

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::wire::schedules::{Schedule, ScheduleCreate};
use vm0_model::{ErrorCode, ScheduleId};

use super::agents::page;
use super::body::Body;
use super::operation::Described;

const CREATE: &str = "The server makes a run of the agent at each time that the expression names in \
    the time zone. A time that a change of the clock leaves out is due when the clock has moved on; \
    one that comes twice is due once, unless the hour is `*`. Each occurrence makes at most one run. It makes none, and \
    `last_error` says why, if the run of the time before has not ended, or the request for the run \
    is refused. Of the occurrences that a stopped server slept through, the last one is run if it is \
    at most an hour old. A schedule whose run could not be made now is refused, as the run would be.";

/// What the request of its runs may be refused for.
const REFUSALS: [ErrorCode; 2] = [ErrorCode::MissingParameter, ErrorCode::ResourceNotFound];

pub(super) fn operations() -> Vec<Described> {
    vec![
        schedule("schedule_list", Method::GET, "/v1/schedules")
            .text("List schedules", "Those of the caller.")
            .paged()
            .answer(
                200,
                "A page of schedules.",
                Body::of::<Schedule>().page(),
                page(example()),
            ),
        schedule("schedule_create", Method::POST, "/v1/schedules")
            .text("Create a schedule", CREATE)
            .body(Body::of::<ScheduleCreate>(), requests())
            .errors(&REFUSALS)
            .answer(201, "The schedule.", Body::of::<Schedule>(), example()),
        one("schedule_view", Method::GET, "/v1/schedules/{id}")
            .text("Get a schedule", "")
            .answer(200, "The schedule.", Body::of::<Schedule>(), example()),
        one("schedule_enable", Method::POST, "/v1/schedules/{id}/enable")
            .text(
                "Switch a schedule on",
                "It is due at its next time from now on.",
            )
            .answer(200, "The schedule.", Body::of::<Schedule>(), example()),
        one(
            "schedule_disable",
            Method::POST,
            "/v1/schedules/{id}/disable",
        )
        .text("Switch a schedule off", "A run that it made goes on.")
        .answer(200, "The schedule.", Body::of::<Schedule>(), off()),
        one("schedule_delete", Method::DELETE, "/v1/schedules/{id}")
            .text("Delete a schedule", "Its runs stay.")
            .no_content(204, "It is gone.", &[]),
    ]
}

fn schedule(name: &str, method: Method, path: &'static str) -> Described {
    Described::new(method, path, name, "Schedules").extension()
}

fn one(name: &str, method: Method, path: &'static str) -> Described {
    schedule(name, method, path).id::<ScheduleId>("Id of the schedule.")
}

fn requests() -> [(&'static str, Value); 1] {
    let request = json!({
        "agent": "my-agent",
        "cron": "0 9 * * 1-5",
        "timezone": "Europe/Berlin",
        "prompt": "Summarise what changed since yesterday",
        "artifact_name": "reports",
    });
    [("weekdays", request)]
}

fn example() -> Value {
    json!({
        "id": "019bc140-0b5e-7f60-8a7e-0d2f5f3f9f11",
        "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "agent_name": "my-agent",
        "cron": "0 9 * * 1-5",
        "timezone": "Europe/Berlin",
        "enabled": true,
        "next_run_at": "2026-01-16T08:00:00.000Z",
        "last_due_at": "2026-01-15T08:00:00.000Z",
        "last_run_id": "019bc134-7840-7cba-a551-2100f80b56fc",
        "last_error": null,
        "prompt": "Summarise what changed since yesterday",
        "agent_version": null,
        "variables": null,
        "artifact_name": "reports",
        "artifact_version": null,
        "volumes": null,
        "timeout_seconds": null,
        "created_at": "2026-01-14T10:30:00.000Z",
        "updated_at": "2026-01-14T10:30:00.000Z",
    })
}

fn off() -> Value {
    let mut schedule = example();
    schedule["enabled"] = json!(false);
    schedule["next_run_at"] = Value::Null;
    schedule
}
