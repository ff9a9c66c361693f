//! The whole document: what holds for every operation, and all of them.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Components, ComponentsBuilder, Object};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Header, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, SecurityRequirement,
    Server, Tag,
};
use vm0_model::limits;

use super::operation::Described;
use super::{
    agents, errors, form, runs, schedules, service, sessions, storages, telemetry, tokens, values,
};

const DESCRIPTION: &str = include_str!("description.md");

/// The tags, in the order of the document.
const TAGS: [(&str, &str); 10] = [
    ("Agents", "What is run: named, versioned configurations."),
    (
        "Runs",
        "Executions of an agent, their events, logs and metrics.",
    ),
    ("Volumes", "Versioned input files."),
    ("Artifacts", "Versioned files that runs leave behind."),
    (
        "Sessions",
        "Conversations that go on from run to run, and the end states of runs.",
    ),
    ("Secrets", "Stored values of templates that are write-only."),
    ("Variables", "Stored values of templates."),
    ("Schedules", "Runs that the server makes at certain times."),
    ("Tokens", "Keys of this API."),
    ("Service", "Health, metrics and this document."),
];

fn operations() -> Vec<Described> {
    [
        agents::operations(),
        runs::operations(),
        telemetry::operations(),
        storages::operations(),
        sessions::operations(),
        values::operations(),
        schedules::operations(),
        tokens::operations(),
        service::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The document.
pub(crate) fn document() -> OpenApi {
    let mut paths = Paths::new();
    let mut components = components();
    for described in operations() {
        let (path, method) = (described.path, described.http_method());
        let (operation, schemas) = described.build();
        paths.add_path_operation(path, vec![method], operation);
        components.schemas.extend(schemas);
    }
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("VM0 public API")
        .version("v1")
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let tags = TAGS.map(|(name, description)| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    });
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(
            "bearer",
            Vec::<String>::new(),
        )]))
        .tags(Some(tags))
        .build()
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("vm0_live_ and 64 lowercase hex digits")
        .description(Some(
            "`Authorization: Bearer <token>`: the word `Bearer` exactly so, one space, a token.",
        ))
        .build();
    let mut components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .parameter("limit", limit())
        .parameter("cursor", cursor());
    for (name, header) in headers() {
        components = components.header(name, header);
    }
    for (code, name) in errors::SHARED {
        components = components.response(name, errors::response(&[code]));
    }
    let mut components = components.build();
    components.schemas.extend(errors::body().into_answer());
    components
}

fn limit() -> Parameter {
    let default = serde_json::Value::from(limits::PAGE_DEFAULT);
    let form = form::integer(1, limits::PAGE_MAX).default(Some(default));
    ParameterBuilder::new()
        .name("limit")
        .parameter_in(ParameterIn::Query)
        .description(Some("Items of a page."))
        .schema(Some(form.build()))
        .build()
}

fn cursor() -> Parameter {
    ParameterBuilder::new()
        .name("cursor")
        .parameter_in(ParameterIn::Query)
        .description(Some(
            "`next_cursor` of an earlier page of the same list; empty for the first page.",
        ))
        .schema(Some(form::text()))
        .build()
}

fn headers() -> [(&'static str, Header); 6] {
    let header = |form: Object, description: &str| {
        HeaderBuilder::new()
            .schema(Some(form))
            .description(Some(description))
            .build()
    };
    [
        (
            "X-Request-Id",
            header(
                form::pattern("^req_[0-9a-f]{32}$"),
                "Fresh for each answer.",
            ),
        ),
        (
            "X-API-Version",
            header(form::choice(["v1"]), "Always `v1`."),
        ),
        (
            "WWW-Authenticate",
            header(form::choice(["Bearer"]), "The scheme that is wanted."),
        ),
        (
            "Allow",
            header(
                form::text(),
                "The methods of the path, separated by commas.",
            ),
        ),
        (
            "Retry-After",
            header(
                form::pattern("^[0-9]+$"),
                "Seconds after which to try again.",
            ),
        ),
        (
            "Location",
            header(
                form::text(),
                "An absolute URL, signed and valid for an hour, from which `GET` downloads \
                 `application/gzip` without authentication.",
            ),
        ),
    ]
}
