//! The schema for editors and the checks agree.

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use vm0_model::config::{AgentConfig, config_schema, config_schema_json, yaml_value};

use crate::{bad, good};

fn validator() -> Validator {
    jsonschema::validator_for(&config_schema()).expect("the schema is one")
}

#[test]
fn the_schema_that_is_checked_in_is_the_one_the_code_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/vm0.yaml.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == config_schema_json(),
        "schema/vm0.yaml.json is old; make it anew with\n    \
         cargo run -p vm0-model --example config_schema > schema/vm0.yaml.json"
    );
}

#[test]
fn the_schema_is_one_of_its_dialect() {
    assert!(jsonschema::draft7::meta::is_valid(&config_schema()));
}

#[test]
fn the_schema_accepts_what_the_checks_accept() {
    let validator = validator();
    for text in good::all() {
        let value = yaml_value(&text).unwrap();
        let fault = validator
            .validate(&value)
            .err()
            .map(|error| error.to_string());
        assert_eq!(fault, None, "{text}");
    }
}

#[test]
fn the_schema_refuses_what_the_checks_refuse_where_a_schema_can_see_it() {
    let validator = validator();
    for bad in bad::all() {
        let Ok(value) = yaml_value(&bad.text) else {
            assert!(!bad.schema_sees, "{}", bad.text);
            continue;
        };
        let refused = !validator.is_valid(&value);
        assert_eq!(refused, bad.schema_sees, "{}: {}", bad.says, bad.text);
    }
}

#[test]
fn every_key_has_words_for_the_editor() {
    fn check(path: &str, form: &Value) {
        for (key, form) in form["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let text = form["description"].as_str().unwrap_or_default();
            assert!(
                text.ends_with(['.', '}']) || text.contains(' '),
                "{path}: {form}"
            );
            check(&path, form);
            check(&path, &form["additionalProperties"]);
            check(&path, &form["items"]);
        }
    }
    let schema = config_schema();
    check("", &schema);
    check("volumes", &schema["definitions"]["volume"]);
    check("agents", &schema["definitions"]["agent"]);
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z0-9A-Z]{0,4}(/|:/|\\.|\\.\\.|-|\\*\\.|://|\n|\0| |é|%)[a-z0-9/.:_-]{0,6}"
            .prop_map(Value::from),
        "https://github\\.com/[a./]{1,4}/tree/[a-c./]{1,8}".prop_map(Value::from),
        "(header|query|basic|bearer):?[a-z&=: -]{0,4}".prop_map(Value::from),
        "\\$\\{\\{[ \t\u{b}]?(vars|secrets|env)\\.[A-Z0-9]{0,2} ?\\}\\}".prop_map(Value::from),
        "data:(/[a-z.]{0,4}){1,3}".prop_map(Value::from),
        "/(home|tmp|proc|usr|home/user|var/tmp|[a-z.]{1,3})(/[a-z.]{0,3})?".prop_map(Value::from),
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,2})?".prop_map(Value::from),
        "(\\*\\.)?\\PC{1,6}(\\.com)?(:[0-9]{1,4})?".prop_map(Value::from),
        prop::sample::select(vec![
            "allow",
            "deny",
            "ALLOW",
            "DENY",
            "public",
            "none",
            "allowlist",
            "GET",
            "custom",
            "{prompt}",
            "latest",
            "LATEST",
        ])
        .prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text(),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-1i64..100_000).prop_map(Value::from),
        1 => (0.0..300.0f64).prop_map(Value::from),
    ]
}

fn map_of(keys: &'static [&'static str], of: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::hash_map(prop::sample::select(keys), of, 0..4)
        .prop_map(|map| {
            map.into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        })
        .boxed()
}

fn agent() -> impl Strategy<Value = Value> {
    let list = |of: BoxedStrategy<Value>| prop::collection::vec(of, 0..3).prop_map(Value::from);
    let leaf = || scalar().boxed();
    let either = move || prop_oneof![leaf(), list(leaf())].boxed();
    let rule = map_of(
        &[
            "domain", "ip", "cidr", "ports", "methods", "paths", "action", "final",
        ],
        either(),
    );
    let section = map_of(
        &[
            "mode",
            "inspect",
            "enabled",
            "experimental_mitm",
            "experimental_seal_secrets",
        ],
        leaf(),
    );
    let with_rules = (section, list(rule)).prop_map(|(mut section, rules)| {
        section["rules"] = rules;
        section
    });
    let secret = map_of(&["hosts", "inject", "expose"], either());
    let secrets = map_of(&["A", "_b", "1"], secret);
    let values = map_of(&["A", "VM0_A", "a-b"], leaf());
    let resources = map_of(&["cpus", "memory_mb", "disk_mb", "pids", "group"], leaf());
    let duration = prop_oneof![leaf(), "[0-9]{0,6}[smhd]?".prop_map(Value::from)].boxed();
    let budget = map_of(&["max_tokens", "max_cost_usd", "max_duration"], duration);
    let field = prop_oneof![either(), with_rules, secrets, values, resources, budget].boxed();
    let keys: &[&str] = &[
        "framework",
        "description",
        "instructions",
        "skills",
        "environment",
        "volumes",
        "image",
        "working_dir",
        "timeout_seconds",
        "resources",
        "budget",
        "network",
        "secrets",
        "command",
        "history",
        "bundle",
        "experimental_firewall",
        "experimental_runner",
    ];
    prop::collection::hash_map(prop::sample::select(keys), field, 0..3).prop_map(|map| {
        map.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_schema_never_refuses_what_the_checks_accept(agent in agent()) {
        thread_local! {
            static VALIDATOR: Validator = validator();
        }
        let mut config = json!({
            "version": "1.0",
            "agents": { "demo": agent },
            "volumes": { "data": { "name": "data" } },
        });
        if config["agents"]["demo"].get("bundle").is_none() {
            config["agents"]["demo"]["bundle"] = "ab".repeat(32).into();
        }
        if AgentConfig::from_json(&config).is_ok() {
            let fault = VALIDATOR.with(|validator| {
                validator.validate(&config).err().map(|error| error.to_string())
            });
            prop_assert_eq!(fault, None, "{}", config);
        }
    }
}
