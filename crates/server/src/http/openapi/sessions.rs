//! Sessions and checkpoints (API 10).

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::wire::sessions::{Checkpoint, Session};
use vm0_model::{CheckpointId, SessionId};

use super::agents::page;
use super::body::Body;
use super::form;
use super::operation::Described;

pub(super) fn operations() -> Vec<Described> {
    vec![
        extension("session_list", "/v1/sessions")
            .text("List sessions", "The conversations of the caller.")
            .query(
                "agent_id",
                form::text(),
                "Only sessions of this agent, which may be deleted.",
            )
            .paged()
            .answer(
                200,
                "A page of sessions.",
                Body::of::<Session>().page(),
                page(session()),
            ),
        extension("session_view", "/v1/sessions/{id}")
            .text(
                "Get a session",
                "A conversation that goes on from run to run.",
            )
            .id::<SessionId>("Id of the session.")
            .answer(200, "The session.", Body::of::<Session>(), session()),
        extension("checkpoint_view", "/v1/checkpoints/{id}")
            .text(
                "Get a checkpoint",
                "The immutable end state of one completed run.",
            )
            .id::<CheckpointId>("Id of the checkpoint.")
            .answer(
                200,
                "The checkpoint.",
                Body::of::<Checkpoint>(),
                checkpoint(),
            ),
    ]
}

fn extension(name: &str, path: &'static str) -> Described {
    Described::new(Method::GET, path, name, "Sessions").extension()
}

fn session() -> Value {
    json!({
        "id": "019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
        "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "agent_name": "my-agent",
        "artifact_name": "output-results",
        "last_run_id": "019bc134-7840-7cba-a551-2100f80b56fc",
        "last_checkpoint_id": "019bc135-62a0-7732-8987-f9a49d5b0011",
        "active_run_id": null,
        "created_at": "2026-01-15T10:31:00.000Z",
        "updated_at": "2026-01-15T10:31:00.000Z",
    })
}

fn checkpoint() -> Value {
    json!({
        "id": "019bc135-62a0-7732-8987-f9a49d5b0011",
        "run_id": "019bc134-7840-7cba-a551-2100f80b56fc",
        "session_id": "019bc135-62a0-7f3a-b1ec-ebbd1410ab41",
        "agent_id": "019bbc0e-1c40-74f0-bc5a-29de06b510f9",
        "agent_name": "my-agent",
        "agent_version": "0a6bc1e3e929c21988b2fd40acebee07822bc26df74b86107dc54bf270ab2095",
        "variables": { "DEBUG": "true" },
        "secret_names": ["ANTHROPIC_API_KEY"],
        "artifact_name": "output-results",
        "artifact_version": "fecf3b842560e310bc59fdf947a715e750ec491ebc8fd2157764ff48520927e8",
        "volumes": {
            "input-data": "eb0e490432978372ef0a0a63771e3ed4426a5503e324a67bcb682808ac25c549",
        },
        "created_at": "2026-01-15T10:31:00.000Z",
    })
}
