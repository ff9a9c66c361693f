//! The whole: `version`, `agents`, `volumes`.

use serde_json::{Value, json};

use super::agent;
use super::forms::{self, has, map_of, object, plain_text};
use crate::config::document::{TOP_KEYS, VERSION_MAX_CHARS, VOLUME_KEYS, VOLUMES_MAX};

/// The schema, in the dialect that editors know best: JSON Schema draft-07.
pub fn config_schema() -> Value {
    let mut schema = object(&TOP_KEYS, &["version", "agents"], top);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("vm0.yaml");
    schema["description"] = json!("An agent of vm0: what it is and what its runs get.");
    schema["definitions"] = json!({ "agent": agent::form(), "volume": volume() });
    schema
}

/// The schema as it is checked in and served.
pub fn config_schema_json() -> String {
    let mut text = serde_json::to_string_pretty(&config_schema()).expect("a value is JSON");
    text.push('\n');
    text
}

fn top(key: &str) -> Value {
    match key {
        "version" => {
            let mut form = plain_text("Version of this file's form: \"1.0\", in quotes.");
            form["minLength"] = json!(1);
            form["maxLength"] = json!(VERSION_MAX_CHARS);
            form["default"] = json!("1.0");
            form
        }
        "agents" => {
            let about = "Exactly one agent, by its name: 3-64 letters, digits or '-', beginning \
                         and ending with a letter or digit.";
            let names = "^[A-Za-z0-9][A-Za-z0-9-]{1,62}[A-Za-z0-9]$";
            let mut form = map_of(about, names, json!({ "$ref": "#/definitions/agent" }));
            form["minProperties"] = json!(1);
            form["maxProperties"] = json!(1);
            form
        }
        "volumes" => {
            let about = "What the agent's mounts mean, by their keys.";
            let of = json!({ "$ref": "#/definitions/volume" });
            let mut form = map_of(about, &format!("^{}$", forms::VOLUME_KEY), of);
            form["maxProperties"] = json!(VOLUMES_MAX);
            form
        }
        _ => unreachable!("every key of TOP_KEYS has a form"),
    }
}

fn volume() -> Value {
    let mut form = object(&VOLUME_KEYS, &["name"], volume_key);
    form["description"] = json!("One input volume.");
    form
}

fn volume_key(key: &str) -> Value {
    let or_variable = |pattern: &str, about: &str| {
        json!({
            "description": about,
            "type": "string",
            "anyOf": [has(pattern), has(forms::VARIABLE)],
            "not": has(forms::SECRET),
        })
    };
    match key {
        "name" => or_variable(
            "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
            "Name of the volume on the server. ${{ vars.NAME }} may stand in it.",
        ),
        "version" => {
            let about = "latest, or at least 8 hex digits in quotes. ${{ vars.NAME }} may stand \
                         in it.";
            let mut form = or_variable("^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8,})$", about);
            form["default"] = json!("latest");
            form
        }
        "optional" => forms::boolean(
            false,
            "Whether a missing volume or version leaves the mount out instead of failing the run.",
        ),
        _ => unreachable!("every key of VOLUME_KEYS has a form"),
    }
}
