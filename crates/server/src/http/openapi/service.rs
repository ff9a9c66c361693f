//! Service endpoints (API 13).

use axum::http::Method;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::schema::{Object, Type};

use super::body::Body;
use super::form;
use super::operation::Described;

/// Whether the server works.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct Health {
    /// Always `ok`; a server that does not work answers 503.
    status: String,
}

pub(super) fn operations() -> Vec<Described> {
    vec![
        service("health_view", "/health")
            .public()
            .text("Whether the server works", "")
            .answer(200, "It does.", health(), json!({ "status": "ok" })),
        service("openapi_view", "/openapi.json")
            .public()
            .text("This document", "")
            .content(
                200,
                "The description of this API in OpenAPI 3.1.",
                [(
                    "application/json",
                    ContentBuilder::new()
                        .schema(Some(Object::with_type(Type::Object)))
                        .build(),
                )],
            ),
        service("config_schema_view", "/schema/vm0.yaml.json")
            .public()
            .text("The form of vm0.yaml", "A JSON schema for editors.")
            .content(
                200,
                "The schema, in JSON Schema draft-07.",
                [(
                    "application/schema+json",
                    ContentBuilder::new()
                        .schema(Some(Object::with_type(Type::Object)))
                        .example(Some(json!({ "title": "vm0.yaml", "type": "object" })))
                        .build(),
                )],
            ),
        service("metrics_view", "/metrics")
            .optional_token()
            .text("Metrics of the server", METRICS)
            .content(
                200,
                "The metrics.",
                [(
                    "text/plain; version=0.0.4; charset=utf-8",
                    ContentBuilder::new()
                        .schema(Some(form::text()))
                        .example(Some(json!(EXAMPLE)))
                        .build(),
                )],
            ),
    ]
}

fn health() -> Body {
    let mut object = Body::object::<Health>();
    form::narrow(&mut object, "status", ["ok"]);
    Body::made("Health", object, [])
}

const METRICS: &str = "In the Prometheus text format. No token is needed if the peer is a loopback \
    address and the request has no `Forwarded` or `X-Forwarded-For` header.";

const EXAMPLE: &str = "# HELP vm0_uptime_seconds Time since the server started.\n\
    # TYPE vm0_uptime_seconds gauge\nvm0_uptime_seconds 42\n";

fn service(name: &str, path: &'static str) -> Described {
    Described::new(Method::GET, path, name, "Service")
}
