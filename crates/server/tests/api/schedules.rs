//! Schedules: what is refused, and which occurrences make a run.

use std::time::Duration;

use serde_json::{Value, json};
use vm0_model::wire::schedules::ScheduleCreate;
use vm0_model::{AgentId, ScheduleId, Timestamp};
use vm0_store::record::{ScheduleCreateOutcome, ScheduleRecord};
use vm0_store::{ScheduleStore, SqliteStore, UserStore};

use crate::harness::Harness;

fn weekdays() -> Value {
    json!({
        "agent": "demo", "cron": "0 9 * * 1-5", "timezone": "Europe/Berlin", "prompt": "true",
        "timeout_seconds": 60,
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut body = weekdays();
    body[key] = value;
    body
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_schedule_is_made_switched_and_deleted() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let made = harness.post("/v1/schedules", weekdays()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!(
        (
            &made["agent_id"],
            &made["cron"],
            &made["enabled"],
            &made["last_run_id"]
        ),
        (
            &agent["id"],
            &json!("0 9 * * 1-5"),
            &json!(true),
            &json!(null)
        )
    );
    assert!(text(&made["next_run_at"]).ends_with(":00:00.000Z"));
    let path = format!("/v1/schedules/{}", text(&made["id"]));
    assert_eq!(harness.get(&path).await.json(), made);
    assert_eq!(
        harness.get("/v1/schedules").await.json()["data"],
        json!([made])
    );
    let off = harness.post(&format!("{path}/disable"), json!({})).await;
    assert_eq!(
        (&off.json()["enabled"], &off.json()["next_run_at"]),
        (&json!(false), &json!(null))
    );
    let on = harness.post(&format!("{path}/enable"), json!({})).await;
    assert_eq!(on.json()["next_run_at"], made["next_run_at"]);
    assert_eq!(harness.delete(&path).await.status, 204);
    harness
        .get(&path)
        .await
        .error(404, "resource_not_found", None);
    harness
        .delete(&path)
        .await
        .error(404, "resource_not_found", None);
}

#[tokio::test]
async fn what_could_never_run_is_refused_at_once() {
    let harness = Harness::start().await;
    let env = json!({ "A": "${{ vars.A }}", "B": "${{ secrets.B }}" });
    harness.agent(json!({ "environment": env })).await;
    for (body, param) in [
        (with("cron", json!("9 o'clock")), "cron"),
        (with("cron", json!("0 0 30 2 *")), "cron"),
        (with("cron", json!(7)), "cron"),
        (with("timezone", json!("Mars/Olympus")), "timezone"),
        (with("prompt", json!("")), "prompt"),
        (with("timeout_seconds", json!(0)), "timeout_seconds"),
        (with("enabled", json!("yes")), "enabled"),
        (with("secrets", json!({ "B": "b" })), "secrets"),
        (with("session_id", json!("x")), "session_id"),
        (weekdays(), "variables"),
        (with("variables", json!({ "A": "a" })), "secrets"),
    ] {
        let answer = harness.post("/v1/schedules", body).await;
        answer.error(400, "invalid_parameter", Some(param));
    }
    let answer = harness
        .post("/v1/schedules", with("agent", json!("nobody")))
        .await;
    answer.error(404, "resource_not_found", Some("agent"));
    let mut nobody = weekdays();
    nobody.as_object_mut().unwrap().remove("agent");
    let answer = harness.post("/v1/schedules", nobody).await;
    answer.error(400, "missing_parameter", None);
    harness.put("/v1/secrets/B", json!({ "value": "b" })).await;
    let body = with("variables", json!({ "A": "a" }));
    assert_eq!(harness.post("/v1/schedules", body).await.status, 201);
}

/// A schedule that was due so long ago, as a server leaves it that stops then.
async fn due(harness: &Harness, agent: &Value, ago: Duration, request: Value) -> String {
    let path = harness.directory.path().join("data/vm0.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let some_id = vm0_model::UserId::from_uuid(uuid::Uuid::now_v7());
    let now = Timestamp::from_millis(i64::try_from(millis_now()).unwrap());
    let user = store.user_ensure(some_id, "ada", now).await.unwrap();
    let request: ScheduleCreate = serde_json::from_value(request).unwrap();
    let agent_id: AgentId = agent["id"].as_str().unwrap().parse().unwrap();
    let schedule = ScheduleRecord {
        id: ScheduleId::from_uuid(uuid::Uuid::now_v7()),
        user_id: user.id,
        agent_id,
        agent_name: "demo".to_owned(),
        timezone: "UTC".to_owned(),
        request,
        next_at: Some(now.plus_millis(-i64::try_from(ago.as_millis()).unwrap())),
        last_due_at: None,
        last_run_id: None,
        last_error: None,
        created_at: now,
        updated_at: now,
    };
    let id = schedule.id.to_string();
    let outcome = store.schedule_create(schedule, 10).await.unwrap();
    assert_eq!(outcome, ScheduleCreateOutcome::Created);
    format!("/v1/schedules/{id}")
}

fn millis_now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis()
}

/// The schedule once an occurrence was seen to.
async fn seen_to(harness: &Harness, path: &str) -> Value {
    for _ in 0..400 {
        let schedule = harness.get(path).await.json();
        if !schedule["last_due_at"].is_null() {
            return schedule;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing became of it: {:?}", harness.get(path).await);
}

const YEARLY: &str = "@yearly";

#[tokio::test]
async fn an_occurrence_makes_one_run_with_what_is_stored_then() {
    let harness = Harness::start().await;
    let env = json!({ "B": "${{ secrets.B }}" });
    let agent = harness.agent(json!({ "environment": env })).await;
    harness.put("/v1/secrets/B", json!({ "value": "b" })).await;
    let request = json!({ "cron": YEARLY, "prompt": "hello", "artifact_name": "out" });
    let path = due(&harness, &agent, Duration::from_secs(1800), request).await;
    let schedule = seen_to(&harness, &path).await;
    assert_eq!(schedule["last_error"], json!(null));
    assert_eq!(schedule["enabled"], json!(true));
    let run = text(&schedule["last_run_id"]);
    let run = harness.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(
        (&run["prompt"], &run["artifact_name"], &run["status"]),
        (&json!("hello"), &json!("out"), &json!("pending"))
    );
    assert_eq!(harness.claim().await["spec"]["environment"]["B"], "b");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let runs = harness.get("/v1/runs").await.json();
    assert_eq!(runs["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_occurrence_without_a_run_says_why_and_the_next_is_waited_for() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let plain = json!({ "cron": YEARLY, "prompt": "x" });
    let missed = due(&harness, &agent, Duration::from_secs(7200), plain.clone()).await;
    let missed = seen_to(&harness, &missed).await;
    assert!(text(&missed["last_error"]).starts_with("The server did not run at "));
    let env = json!({ "A": "${{ vars.A }}" });
    let agent = harness.agent(json!({ "environment": env })).await;
    let refused = due(&harness, &agent, Duration::ZERO, plain).await;
    let refused = seen_to(&harness, &refused).await;
    assert!(text(&refused["last_error"]).starts_with("Missing required variables: A."));
    for schedule in [missed, refused] {
        assert_eq!(schedule["last_run_id"], json!(null));
        assert!(!schedule["next_run_at"].is_null());
    }
    assert_eq!(harness.get("/v1/runs").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_schedule_whose_run_goes_on_makes_no_other() {
    let harness = Harness::start().await;
    let agent = harness.agent(json!({})).await;
    let path = due(
        &harness,
        &agent,
        Duration::ZERO,
        json!({ "cron": "* * * * *", "prompt": "x" }),
    )
    .await;
    let first = seen_to(&harness, &path).await;
    assert!(!first["last_run_id"].is_null());
    let store = SqliteStore::open(&harness.directory.path().join("data/vm0.db"))
        .await
        .unwrap();
    let id = text(&first["id"]).parse().unwrap();
    let now = Timestamp::from_millis(i64::try_from(millis_now()).unwrap());
    let some_id = vm0_model::UserId::from_uuid(uuid::Uuid::now_v7());
    let user = store.user_ensure(some_id, "ada", now).await.unwrap();
    store.schedule_switch(user.id, id, None, now).await.unwrap();
    store
        .schedule_switch(user.id, id, Some(now), now)
        .await
        .unwrap();
    for _ in 0..400 {
        let schedule = harness.get(&path).await.json();
        if let Some(error) = schedule["last_error"].as_str() {
            assert!(
                error.ends_with("of the time before has not ended"),
                "{error}"
            );
            assert_eq!(schedule["last_run_id"], first["last_run_id"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing became of it");
}
