//! Runs (API 4).

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::limits::IDEMPOTENCY_KEY_MAX_CHARS;
use vm0_model::wire::exec::SUBPROTOCOL;
use vm0_model::wire::network::{NetworkPut, NetworkSection};
use vm0_model::wire::runs::{Run, RunCreate, RunDetail};
use vm0_model::{ErrorCode, RunId, RunStatus};

use super::agents::page;
use super::body::Body;
use super::form;
use super::operation::Described;

/// What `POST /v1/runs` refuses beside a bad body.
const REFUSALS: [ErrorCode; 7] = [
    ErrorCode::MissingParameter,
    ErrorCode::InvalidState,
    ErrorCode::ResourceNotFound,
    ErrorCode::SessionBusy,
    ErrorCode::IdempotencyKeyReused,
    ErrorCode::ConcurrentRunLimitExceeded,
    ErrorCode::RateLimitExceeded,
];

pub(super) fn operations() -> Vec<Described> {
    let statuses = RunStatus::ALL.map(RunStatus::as_str);
    let key = format!("^[ -~]{{1,{IDEMPOTENCY_KEY_MAX_CHARS}}}$");
    vec![
        run("run_list", Method::GET, "/v1/runs")
            .text("List runs", "The runs of the caller.")
            .query("status", form::choice(statuses), "Only runs in this state.")
            .query(
                "agent_id",
                form::text(),
                "Only runs of this agent, which may be deleted.",
            )
            .query("since", form::time(), "Only runs created then or later.")
            .paged()
            .answer(
                200,
                "A page of runs.",
                Body::of::<Run>().page(),
                page(item("completed")),
            ),
        run("run_create", Method::POST, "/v1/runs")
            .text("Create a run", CREATE)
            .header("Idempotency-Key", form::pattern(&key), KEY)
            .body(Body::of::<RunCreate>(), requests())
            .errors(&REFUSALS)
            .answer(
                202,
                "The run, as a rule `pending`.",
                Body::of::<RunDetail>(),
                pending(),
            ),
        run("run_view", Method::GET, "/v1/runs/{id}")
            .text("Get a run", "")
            .id::<RunId>("Id of the run.")
            .answer(200, "The run.", Body::of::<RunDetail>(), completed()),
        run("run_cancel", Method::POST, "/v1/runs/{id}/cancel")
            .text("Cancel a run", CANCEL)
            .id::<RunId>("Id of the run.")
            .errors(&[ErrorCode::InvalidState])
            .answer(
                200,
                "The run, `cancelled`.",
                Body::of::<RunDetail>(),
                cancelled(),
            ),
    ]
    .into_iter()
    .chain(while_they_go_on())
    .collect()
}

/// What can be done to a run that goes on.
fn while_they_go_on() -> Vec<Described> {
    vec![
        run("run_network_view", Method::GET, "/v1/runs/{id}/network")
            .extension()
            .text("Get the network policy of a run", NETWORK_VIEW)
            .id::<RunId>("Id of the run.")
            .answer(
                200,
                "The policy that is in force.",
                Body::of::<NetworkSection>(),
                network(),
            ),
        run("run_network_put", Method::PUT, "/v1/runs/{id}/network")
            .extension()
            .text("Change the network policy of a run", NETWORK_PUT)
            .id::<RunId>("Id of the run.")
            .body(Body::of::<NetworkPut>(), network_requests())
            .errors(&[ErrorCode::InvalidState])
            .answer(
                200,
                "The policy that is in force from now on.",
                Body::of::<NetworkSection>(),
                network(),
            ),
        run("run_exec", Method::GET, "/v1/runs/{id}/exec")
            .extension()
            .text("Run a command in the sandbox of a running run", EXEC)
            .id::<RunId>("Id of the run.")
            .header(
                "Sec-WebSocket-Protocol",
                form::choice([SUBPROTOCOL]),
                "The form of the messages; together with the other headers of a WebSocket.",
            )
            .errors(&[ErrorCode::InvalidParameter, ErrorCode::InvalidState])
            .no_content(101, "The connection is a WebSocket from now on.", &[]),
    ]
}

const CREATE: &str = "Queues a run of an agent; it begins when a runner takes it. A selector says \
    what is run: `checkpoint_id`, `session_id`, `agent_id` or `agent`. What the request leaves out \
    is inherited from the session or checkpoint; a value given wins as a whole. `volumes` and \
    `artifact_version` are shown as references until the run starts. A run goes from `pending` to \
    `running` and ends as `completed`, `failed`, `timeout` or `cancelled`, which are final. \
    A reference that does not resolve, and a variable or secret that is missing, is \
    `invalid_parameter`.";

const KEY: &str = "For 24 hours a request with the same key and an equal body answers the run that \
    the first one created, in its present state, and creates nothing; with another body it is \
    `idempotency_key_reused`.";

const CANCEL: &str = "At once; the agent then gets SIGTERM, and SIGKILL after 10 s. A run that has \
    ended, also by an earlier cancel, is `invalid_state`.";

const EXEC: &str = "A WebSocket. The client first sends a text message \
    `{\"command\":[…],\"cwd\"?,\"env\"?,\"tty\"?:{\"rows\",\"cols\"}}`, then binary messages that are its \
    input and text messages `{\"resize\":{\"rows\",\"cols\"}}`, `{\"stdin\":\"close\"}` and \
    `{\"signal\":\"INT\"}`. The server sends binary messages whose first byte is 1 (stdout) or 2 \
    (stderr), and last a text message `{\"exit_code\":N}`. A message has at most 256 KiB. A connection \
    that is closed without an exit code says why in its close code: 1001 the server is stopping, 1008 \
    and 1009 a message that is not accepted, 1011 a fault, 4001 the run has ended, 4002 the runner is \
    gone, 4003 the command could not be started. The command runs as the user of the agent, with its \
    environment and working directory; it is hung up when the client leaves and ends with the run. A \
    run that is not running, or has 16 commands, is `invalid_state`.";

const NETWORK_VIEW: &str = "That of the agent version, unless it was changed for this run; in the \
    form of `network` in vm0.yaml, with its defaults filled in. Of a run that has ended, the last one.";

const NETWORK_PUT: &str = "The body is the section `network` of vm0.yaml, and takes the place of \
    the whole policy, by the same rules: of a rule's `domain`, `ip` and `cidr` there must be exactly \
    one, an unknown key is `invalid_parameter`. For a pending run it applies from the start. For a running \
    one it is in force for new connections within a second, and connections that it forbids are cut; the mode \
    `none` then forbids every connection. A run whose agent has the mode `none` has no network that \
    could be changed once it runs: that, and a run that has ended, is `invalid_state`.";

fn run(name: &str, method: Method, path: &'static str) -> Described {
    Described::new(method, path, name, "Runs")
}

fn requests() -> [(&'static str, Value); 3] {
    [
        (
            "prompt",
            json!({ "agent": "my-agent", "prompt": "Hello, please introduce yourself" }),
        ),
        (
            "inputs",
            json!({
                "agent": "my-agent",
                "prompt": "Process the data file",
                "variables": { "DEBUG": "true" },
                "volumes": { "input-data": "latest" },
                "artifact_name": "output-results",
                "timeout_seconds": 600,
            }),
        ),
        (
            "continue",
            json!({
                "session_id": "019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
                "prompt": "And now as a table",
            }),
        ),
    ]
}

fn network() -> Value {
    json!({
        "mode": "allowlist",
        "inspect": false,
        "rules": [
            { "domain": "*.example.com", "ports": [80, 443], "action": "allow" },
            { "cidr": "203.0.113.0/24", "ports": [22, "8000-8010"], "action": "allow" },
        ],
    })
}

fn network_requests() -> [(&'static str, Value); 2] {
    let rules = json!([
        { "domain": "*.example.com", "action": "allow" },
        { "cidr": "203.0.113.0/24", "ports": [22, "8000-8010"], "action": "allow" },
    ]);
    [
        ("allowlist", json!({ "mode": "allowlist", "rules": rules })),
        ("none", json!({ "mode": "none" })),
    ]
}

fn item(status: &str) -> Value {
    let ended = status == "completed";
    json!({
        "id": "019bc134-7840-7cba-a551-2100f80b56fc",
        "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "agent_name": "my-agent",
        "status": status,
        "prompt": "Hello, please introduce yourself",
        "created_at": "2026-01-15T10:30:00.000Z",
        "started_at": ended.then_some("2026-01-15T10:30:01.000Z"),
        "completed_at": ended.then_some("2026-01-15T10:31:00.000Z"),
    })
}

fn with(mut whole: Value, more: Value) -> Value {
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, more) {
        whole.extend(more);
    }
    whole
}

fn pending() -> Value {
    let more = json!({
        "error": null, "execution_time_ms": null, "checkpoint_id": null, "session_id": null,
        "artifact_name": null, "artifact_version": null, "volumes": { "input-data": "latest" },
        "salvaged_artifact_version": null,
        "agent_version": "0a6bc1e3e929c21988b2fd40acebee07822bc26df74b86107dc54bf270ab2095",
        "timeout_seconds": 7200, "output": null, "exit_code": null, "sandbox": null,
        "usage": null, "timings": { "queue_ms": null, "sandbox_ready_ms": null },
    });
    with(item("pending"), more)
}

fn cancelled() -> Value {
    let more = json!({ "status": "cancelled", "completed_at": "2026-01-15T10:30:09.000Z" });
    with(pending(), more)
}

fn completed() -> Value {
    let more = json!({
        "execution_time_ms": 59_000,
        "checkpoint_id": "019bc135-62a0-7732-8987-f9a49d5b0011",
        "session_id": "019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
        "volumes": {
            "input-data": "eb0e490432978372ef0a0a63771e3ed4426a5503e324a67bcb682808ac25c549",
        },
        "output": "I am an agent.", "exit_code": 0, "sandbox": "gvisor",
        "usage": { "input_tokens": 1200, "output_tokens": 340, "cost_usd": 0.0123 },
        "timings": { "queue_ms": 1000, "sandbox_ready_ms": 420 },
    });
    with(with(pending(), item("completed")), more)
}
