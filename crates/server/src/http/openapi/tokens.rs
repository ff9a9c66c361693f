//! Tokens (API 12).

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::TokenId;
use vm0_model::wire::tokens::{Token, TokenCreate, TokenCreated};

use super::agents::page;
use super::body::Body;
use super::operation::Described;

pub(super) fn operations() -> Vec<Described> {
    vec![
        token("token_list", Method::GET, "/v1/tokens")
            .text(
                "List tokens",
                "The tokens of the caller, expired ones included.",
            )
            .paged()
            .answer(
                200,
                "A page of tokens.",
                Body::of::<Token>().page(),
                page(item()),
            ),
        token("token_create", Method::POST, "/v1/tokens")
            .text(
                "Create a token",
                "The only answer that has the token itself.",
            )
            .body(
                Body::of::<TokenCreate>(),
                [("name", json!({ "name": "ci", "expires_in_days": 30 }))],
            )
            .answer(201, "The token.", Body::of::<TokenCreated>(), created()),
        token("token_view", Method::GET, "/v1/tokens/{id}")
            .text("Get a token", "")
            .id::<TokenId>("Id of the token.")
            .answer(
                200,
                "The token, without what it is.",
                Body::of::<Token>(),
                item(),
            ),
        token("token_delete", Method::DELETE, "/v1/tokens/{id}")
            .text(
                "Delete a token",
                "It no longer authenticates; it may be the one in use.",
            )
            .id::<TokenId>("Id of the token.")
            .no_content(204, "It is gone.", &[]),
    ]
}

fn token(name: &str, method: Method, path: &'static str) -> Described {
    Described::new(method, path, name, "Tokens")
}

fn item() -> Value {
    json!({
        "id": "019bbc0e-1c40-7a11-9d3c-51a0b2c3d4e5",
        "name": "ci",
        "token_prefix": "vm0_live_0123456...",
        "last_used_at": null,
        "expires_at": "2026-02-14T10:30:00.000Z",
        "created_at": "2026-01-15T10:30:00.000Z",
    })
}

fn created() -> Value {
    let mut token = item();
    token["token"] = json!(format!("vm0_live_{}", "0123456789abcdef".repeat(4)));
    token
}
