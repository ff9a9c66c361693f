//! The form of an agent's configuration: `vm0.yaml` as JSON (API 3.2).

use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use vm0_model::limits::RUN_TIMEOUT_MAX_SECONDS;

use super::body::Body;
use super::form;

const STORAGE_NAME: &str = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$";

/// The configuration of one agent and of its volumes.
pub(super) fn body() -> Body {
    let agents = ObjectBuilder::from(form::map(Ref::from_schema_name("AgentConfigAgent")))
        .min_properties(Some(1))
        .max_properties(Some(1))
        .property_names(Some(form::pattern(
            "^[A-Za-z0-9][A-Za-z0-9-]{1,62}[A-Za-z0-9]$",
        )));
    let config = ObjectBuilder::new()
        .description(Some(
            "An agent file (`vm0.yaml`) as JSON. Kept and hashed as sent, with the agent's name \
             lowercased and no defaults filled in. An unknown key anywhere is an error.",
        ))
        .property("version", described(form::text(), "Write `1.0`."))
        .required("version")
        .property(
            "agents",
            described(agents.build(), "Exactly one agent, by its name."),
        )
        .required("agents")
        .property(
            "volumes",
            described(
                form::map(volume()),
                "What the agent's mounts mean, by their keys.",
            ),
        );
    let agent = Body::made("AgentConfigAgent", agent(), []);
    Body::made("AgentConfig", config, [agent])
}

/// A key, its form, and what it is for.
type Field = (&'static str, Schema, &'static str);

fn agent() -> Object {
    let agent = ObjectBuilder::new().description(Some("One agent."));
    what_it_is()
        .into_iter()
        .chain(what_it_may_do())
        .fold(agent, |agent, (name, form, description)| {
            agent.property(name, described(form, description))
        })
        .build()
}

fn what_it_is() -> [Field; 8] {
    [
        (
            "framework",
            frameworks().into(),
            "The agent program; `claude-code` by default.",
        ),
        (
            "description",
            form::text().into(),
            "Shown in lists; at most 1000 characters.",
        ),
        (
            "instructions",
            form::text().into(),
            "The text of the agent's instructions file.",
        ),
        (
            "environment",
            form::map(form::text()).into(),
            "Its environment. `${{ vars.NAME }}` and `${{ secrets.NAME }}` are expanded for each run; together at most 128 KiB.",
        ),
        (
            "volumes",
            list(form::pattern("^[A-Za-z0-9][A-Za-z0-9_-]{0,63}:/")),
            "Mounts, each `<key>:<absolute path>`.",
        ),
        (
            "working_dir",
            form::text().into(),
            "Where the agent works and the artifact is mounted; `/home/user/workspace` by default.",
        ),
        (
            "timeout_seconds",
            form::integer(1, RUN_TIMEOUT_MAX_SECONDS).build().into(),
            "Default deadline of its runs; 7200 by default.",
        ),
        (
            "image",
            form::text().into(),
            "Name of the image it runs in.",
        ),
    ]
}

fn what_it_may_do() -> [Field; 8] {
    [
        (
            "resources",
            object().into(),
            "`cpus`, `memory_mb`, `disk_mb` and `pids` that a run may use.",
        ),
        (
            "budget",
            object().into(),
            "`max_tokens`, `max_cost_usd`, `max_turns` and `max_duration`: a run that exceeds one is stopped and fails.",
        ),
        (
            "network",
            object().into(),
            "`mode` (`public`, `allowlist`, `none`), `inspect` and `rules` of what it may reach.",
        ),
        (
            "secrets",
            object().into(),
            "Secrets that the gateway puts in on the way out, by name, with their `hosts`.",
        ),
        ("skills", list(form::text()), "Skills by GitHub tree URL."),
        (
            "command",
            list(form::text()),
            "The program and its arguments; only of the framework `custom`.",
        ),
        (
            "resume_command",
            list(form::text()),
            "The same to go on with a conversation; only of `custom`.",
        ),
        (
            "history",
            list(form::text()),
            "Where `custom` keeps its conversation, relative to HOME.",
        ),
    ]
}

fn volume() -> Object {
    let version = form::pattern("^(latest|[0-9A-Fa-f]{8,64}|.*\\$\\{\\{.*)$");
    let optional = Object::with_type(Type::Boolean);
    ObjectBuilder::new()
        .property(
            "name",
            described(
                form::pattern(&format!("{STORAGE_NAME}|\\$\\{{\\{{")),
                "Name of the volume, after expansion of `${{ vars.NAME }}`.",
            ),
        )
        .required("name")
        .property(
            "version",
            described(version, "Version reference; `latest` by default."),
        )
        .property(
            "optional",
            described(
                optional,
                "A missing volume or version leaves the mount out; false by default.",
            ),
        )
        .build()
}

fn frameworks() -> Object {
    form::choice([
        "claude-code",
        "codex",
        "gemini-cli",
        "opencode",
        "shell",
        "custom",
    ])
}

fn object() -> Object {
    Object::with_type(Type::Object)
}

fn list(of: Object) -> Schema {
    ArrayBuilder::new().items(of).build().into()
}

fn described(form: impl Into<Schema>, description: &str) -> RefOr<Schema> {
    let mut schema = form.into();
    match &mut schema {
        Schema::Object(object) => object.description = Some(description.to_owned()),
        Schema::Array(array) => array.description = Some(description.to_owned()),
        _ => {}
    }
    schema.into()
}
