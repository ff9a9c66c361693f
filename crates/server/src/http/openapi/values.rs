//! Stored secrets and variables (API 11).

use axum::http::Method;
use serde_json::{Value, json};
use vm0_model::ErrorCode;
use vm0_model::wire::secrets::{Secret, SecretPut};
use vm0_model::wire::variables::{Variable, VariablePut};

use super::agents::page;
use super::body::Body;
use super::form;
use super::operation::Described;

pub(super) fn operations() -> Vec<Described> {
    let secrets = Values {
        kind: "secret",
        tag: "Secrets",
        all: "/v1/secrets",
        one: "/v1/secrets/{name}",
        item: Body::of::<Secret>(),
        put: Body::of::<SecretPut>(),
        example: json!({ "name": "ANTHROPIC_API_KEY" }),
    };
    let variables = Values {
        kind: "variable",
        tag: "Variables",
        all: "/v1/variables",
        one: "/v1/variables/{name}",
        item: Body::of::<Variable>(),
        put: Body::of::<VariablePut>(),
        example: json!({ "name": "DEBUG", "value": "true" }),
    };
    [secrets, variables]
        .into_iter()
        .flat_map(Values::operations)
        .collect()
}

/// One of the two kinds.
struct Values {
    kind: &'static str,
    tag: &'static str,
    all: &'static str,
    one: &'static str,
    item: Body,
    put: Body,
    example: Value,
}

const PUT: &str = "A change applies to runs created after it. The value of a secret is write-only \
    and has at least 1 byte; that of a variable may be empty. At most 65536 bytes.";

impl Values {
    fn operations(self) -> Vec<Described> {
        let (kind, mut example) = (self.kind, self.example.clone());
        example["created_at"] = json!("2026-01-15T10:30:00.000Z");
        example["updated_at"] = json!("2026-01-15T10:30:00.000Z");
        let item = || self.item.clone();
        vec![
            self.operation("list", Method::GET, self.all)
                .text(
                    &format!("List {kind}s"),
                    "Those stored for the caller; ties by name descending.",
                )
                .paged()
                .answer(200, "A page.", item().page(), page(example.clone())),
            self.named("view", Method::GET)
                .text(&format!("Get a {kind}"), "")
                .errors(&[ErrorCode::ResourceNotFound])
                .answer(200, &format!("The {kind}."), item(), example.clone()),
            self.named("put", Method::PUT)
                .text(&format!("Store a {kind}"), PUT)
                .body(self.put.clone(), [("value", json!({ "value": "true" }))])
                .answer(201, "It is new.", item(), example.clone())
                .answer(200, "It was replaced.", item(), example),
            self.named("delete", Method::DELETE)
                .text(&format!("Delete a {kind}"), "")
                .errors(&[ErrorCode::ResourceNotFound])
                .no_content(204, "It is gone.", &[]),
        ]
    }

    fn operation(&self, what: &str, method: Method, path: &'static str) -> Described {
        let name = format!("{}_{what}", self.kind);
        Described::new(method, path, &name, self.tag).extension()
    }

    fn named(&self, what: &str, method: Method) -> Described {
        let name = Body::made("StoredName", form::pattern("^[A-Z][A-Z0-9_]{0,254}$"), []);
        self.operation(what, method, self.one).path_parameter(
            "name",
            name,
            &format!("Name of the {}.", self.kind),
        )
    }
}
