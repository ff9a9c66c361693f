//! What a run takes from where (API 4.5): the whole matrix over one history of runs.

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::storages::{H, archive, upload, volume};

/// A history: in one session two runs (conversations `c1` and `c2`), each with a checkpoint; then
/// the agent, the volume and the artifact go on. Beside it a session whose run was given an exact
/// volume version, and one that began at a checkpoint.
struct World {
    harness: Harness,
    agent: String,
    /// The agent's versions before and after.
    agents: [String; 2],
    /// The volume's versions before and after.
    volumes: [String; 2],
    /// The artifact's versions, in order.
    artifacts: Vec<String>,
    session: String,
    checkpoints: Vec<String>,
    exact_session: String,
    resumed_session: String,
}

/// What a run must start with.
struct Start<'a> {
    agent: &'a str,
    conversation: Option<&'a str>,
    artifact: Option<(&'a str, Option<&'a str>)>,
    variable: &'a str,
    volume: &'a str,
    session: Option<&'a str>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn compose(harness: &Harness, description: &str) -> Value {
    let agent = json!({
        "framework": "shell", "description": description, "volumes": ["data:/data"],
        "environment": { "V": "${{ vars.V }}", "K": "${{ secrets.K }}" },
    });
    let config = json!({
        "version": "1.0", "agents": { "demo": agent }, "volumes": { "data": { "name": "in" } },
    });
    let answer = harness
        .post("/v1/agents", json!({ "config": config }))
        .await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer.json()
}

async fn commit(harness: &Harness, volume: &str, path: &str) -> String {
    let files = json!([{ "path": path, "size": 6, "hash": H }]);
    let session = upload(harness, volume, &files, archive(&[(path, b"hello\n")])).await;
    let body = json!({ "upload_session_id": session });
    text(&harness.post(&format!("{volume}/commit"), body).await.json()["id"])
}

fn with_secret(mut body: Value) -> Value {
    body["prompt"] = json!("x");
    body["secrets"] = json!({ "K": "hush-hush" });
    body
}

/// Starts a run: its first answer and what a runner gets.
async fn started(harness: &Harness, body: Value) -> (Value, Value) {
    let answer = harness.post("/v1/runs", with_secret(body)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let spec = harness.claim().await["spec"].clone();
    assert_eq!(spec["run_id"], answer.json()["id"]);
    (answer.json(), spec)
}

/// A run that completes and leaves this conversation and workspace.
async fn completed(harness: &Harness, body: Value, conversation: &str) -> Value {
    let run = text(&started(harness, body).await.0["id"]);
    let saved = harness.workspace(&run, conversation).await;
    let report = json!({
        "epoch": 1, "status": "completed", "exit_code": 0, "output": "done", "error": null,
        "usage": null, "artifact": { "manifest_id": saved },
        "conversation": {
            "framework": "shell", "agent_session_id": conversation, "history": null,
            "working_dir": "/home/user/workspace", "token_total": null,
        },
    });
    let answer = harness.runner(&format!("/runs/{run}/finish"), report).await;
    assert_eq!(answer.json()["status"], "completed", "{answer:?}");
    harness.get(&format!("/v1/runs/{run}")).await.json()
}

async fn world() -> World {
    let harness = Harness::start().await;
    let in_volume = volume(&harness, "in").await;
    let before = commit(&harness, &in_volume, "a.txt").await;
    let old = compose(&harness, "before").await;
    let run = |body: Value, conversation: &'static str| completed(&harness, body, conversation);
    let base = |volumes: Value| {
        json!({
            "agent": "demo", "variables": { "V": "1" }, "artifact_name": "out", "volumes": volumes,
        })
    };
    let first = run(base(json!({ "data": &before[..8] })), "c1").await;
    let session = text(&first["session_id"]);
    let again = json!({
        "session_id": session, "variables": { "V": "2" }, "volumes": { "data": "latest" },
    });
    let second = run(again, "c2").await;
    assert_eq!(second["session_id"], first["session_id"], "it goes on");
    let exact = run(base(json!({ "data": before })), "c3").await;
    let resume = json!({ "checkpoint_id": second["checkpoint_id"] });
    let resumed = run(resume, "c4").await;
    assert_ne!(resumed["session_id"], first["session_id"], "a new one");
    let after = commit(&harness, &in_volume, "b.txt").await;
    let new = compose(&harness, "after").await;
    let runs = [&first, &second, &exact, &resumed];
    World {
        agent: text(&old["id"]),
        agents: [&old, &new].map(|agent| text(&agent["current_version_id"])),
        volumes: [before, after],
        artifacts: runs
            .iter()
            .map(|run| text(&run["artifact_version"]))
            .collect(),
        session,
        checkpoints: runs.iter().map(|run| text(&run["checkpoint_id"])).collect(),
        exact_session: text(&exact["session_id"]),
        resumed_session: text(&resumed["session_id"]),
        harness,
    }
}

impl World {
    /// Starts a run, compares what it starts with, and lets it fail.
    async fn check(&self, request: Value, expected: &Start<'_>) {
        let harness = &self.harness;
        let (run, spec) = started(harness, request.clone()).await;
        let artifact = &spec["artifact"];
        let artifact = artifact["name"]
            .as_str()
            .map(|name| (name, artifact["version"]["version_id"].as_str()));
        let found = Start {
            agent: spec["agent_version"].as_str().unwrap(),
            conversation: spec["conversation"]["agent_session_id"].as_str(),
            artifact,
            variable: spec["environment"]["V"].as_str().unwrap(),
            volume: spec["volumes"][0]["version"]["version_id"]
                .as_str()
                .unwrap(),
            session: run["session_id"].as_str(),
        };
        assert_eq!(found.agent, expected.agent, "agent of {request}");
        assert_eq!(
            found.conversation, expected.conversation,
            "conversation of {request}"
        );
        assert_eq!(found.artifact, expected.artifact, "artifact of {request}");
        assert_eq!(found.variable, expected.variable, "variable of {request}");
        assert_eq!(found.volume, expected.volume, "volume of {request}");
        assert_eq!(found.session, expected.session, "session of {request}");
        let id = text(&run["id"]);
        let failed = json!({ "epoch": 1, "status": "failed", "error": "x" });
        let answer = harness.runner(&format!("/runs/{id}/finish"), failed).await;
        assert_eq!(answer.json()["status"], "failed", "{answer:?}");
    }
}

#[tokio::test]
async fn a_run_of_an_agent_takes_what_is_given_and_nothing_else() {
    let world = world().await;
    let ([old, new], [before, after]) = (&world.agents, &world.volumes);
    let newest = world.artifacts.last().unwrap().as_str();
    let start = Start {
        agent: new,
        conversation: None,
        artifact: None,
        variable: "9",
        volume: after,
        session: None,
    };
    let vars = json!({ "V": "9" });
    world
        .check(json!({ "agent": "DEMO", "variables": vars }), &start)
        .await;
    let given = json!({
        "agent_id": world.agent, "agent_version": &old[..8], "variables": vars,
        "artifact_name": "out", "volumes": { "data": &before[..8] },
    });
    let expected = Start {
        agent: old,
        artifact: Some(("out", Some(newest))),
        volume: before,
        ..start
    };
    world.check(given, &expected).await;
    let first = world.artifacts[0].as_str();
    let pinned = json!({
        "agent": "demo", "variables": vars, "artifact_name": "out", "artifact_version": first,
    });
    let expected = Start {
        agent: new,
        artifact: Some(("out", Some(first))),
        volume: after,
        ..expected
    };
    world.check(pinned, &expected).await;
    let lacking = with_secret(json!({ "agent": "demo" }));
    world.harness.post("/v1/runs", lacking).await.error(
        400,
        "invalid_parameter",
        Some("variables"),
    );
}

#[expect(clippy::too_many_lines, reason = "a row of the matrix is a table")]
#[tokio::test]
async fn a_continued_run_takes_what_its_session_has_now() {
    let world = world().await;
    let ([old, new], [before, after]) = (&world.agents, &world.volumes);
    let newest = world.artifacts.last().unwrap().as_str();
    let with = |mut more: Value| {
        more["session_id"] = json!(world.session);
        more
    };
    let start = || Start {
        agent: new,
        conversation: Some("c2"),
        artifact: Some(("out", Some(newest))),
        variable: "2",
        volume: after,
        session: Some(&world.session),
    };
    let first = world.artifacts[0].as_str();
    for (more, expected) in [
        (json!({}), start()),
        (
            json!({ "agent_version": old }),
            Start {
                agent: old,
                ..start()
            },
        ),
        (
            json!({ "variables": { "V": "9" } }),
            Start {
                variable: "9",
                ..start()
            },
        ),
        (
            json!({ "artifact_name": "other" }),
            Start {
                artifact: Some(("other", None)),
                ..start()
            },
        ),
        (
            json!({ "artifact_version": first }),
            Start {
                artifact: Some(("out", Some(first))),
                ..start()
            },
        ),
        (
            json!({ "volumes": { "data": before } }),
            Start {
                volume: before,
                ..start()
            },
        ),
        (json!({ "volumes": {} }), start()),
        // A selector that does not decide is ignored.
        (json!({ "agent": "nobody" }), start()),
    ] {
        world.check(with(more), &expected).await;
    }
    let exact = Start {
        conversation: Some("c3"),
        variable: "1",
        volume: before,
        session: Some(&world.exact_session),
        ..start()
    };
    let body = json!({ "session_id": world.exact_session });
    world.check(body, &exact).await;
    let resumed = Start {
        conversation: Some("c4"),
        volume: before,
        session: Some(&world.resumed_session),
        ..start()
    };
    let body = json!({ "session_id": world.resumed_session });
    world.check(body, &resumed).await;
    let session = format!("/v1/sessions/{}", world.session);
    let session = world.harness.get(&session).await.json();
    assert_eq!(
        session["last_checkpoint_id"], world.checkpoints[1],
        "runs that failed change no session"
    );
}

#[expect(clippy::too_many_lines, reason = "a row of the matrix is a table")]
#[tokio::test]
async fn a_resumed_run_takes_what_its_checkpoint_pinned() {
    let world = world().await;
    let ([old, new], [before, after]) = (&world.agents, &world.volumes);
    let (first, newest) = (world.artifacts[0].as_str(), world.artifacts[3].as_str());
    let with = |mut more: Value| {
        more["checkpoint_id"] = json!(world.checkpoints[0]);
        more
    };
    let start = || Start {
        agent: old,
        conversation: Some("c1"),
        artifact: Some(("out", Some(first))),
        variable: "1",
        volume: before,
        session: None,
    };
    for (more, expected) in [
        (json!({}), start()),
        (
            json!({ "agent_version": "latest" }),
            Start {
                agent: new,
                ..start()
            },
        ),
        (
            json!({ "variables": { "V": "9" } }),
            Start {
                variable: "9",
                ..start()
            },
        ),
        (json!({ "artifact_name": "out" }), start()),
        (
            json!({ "artifact_name": "other" }),
            Start {
                artifact: Some(("other", None)),
                ..start()
            },
        ),
        (
            json!({ "artifact_version": "latest" }),
            Start {
                artifact: Some(("out", Some(newest))),
                ..start()
            },
        ),
        (
            json!({ "volumes": {} }),
            Start {
                volume: after,
                ..start()
            },
        ),
        (
            json!({ "volumes": { "data": "latest" } }),
            Start {
                volume: after,
                ..start()
            },
        ),
        // The checkpoint decides before a session does.
        (json!({ "session_id": world.session }), start()),
    ] {
        world.check(with(more), &expected).await;
    }
    let second = Start {
        conversation: Some("c2"),
        artifact: Some(("out", Some(world.artifacts[1].as_str()))),
        variable: "2",
        ..start()
    };
    let body = json!({ "checkpoint_id": world.checkpoints[1] });
    world.check(body, &second).await;
    let harness = &world.harness;
    harness
        .post("/v1/runs", with_secret(with(json!({ "variables": {} }))))
        .await
        .error(400, "invalid_parameter", Some("variables"));
    harness
        .post("/v1/runs", with(json!({ "prompt": "x" })))
        .await
        .error(400, "invalid_parameter", Some("secrets"));
}
