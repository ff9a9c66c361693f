//! What a good configuration means.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use vm0_model::config::{
    AgentConfig, Budget, Inject, Instructions, Resources, SecretBinding, agent_version_id,
    from_yaml,
};
use vm0_model::network::{NetworkMode, RuleAction, RuleTarget};

const FULL: &str = r#"
version: "1.0"
agents:
  PR-Auditor:
    framework: codex
    instructions: |
      Be brief.
      Be right.
    environment: { OPENAI_API_KEY: "${{ secrets.OPENAI_API_KEY }}", REGION: "${{ vars.REGION }}" }
    volumes: ["books:/home/user/books", "tools:/home/user/bin"]
    timeout_seconds: 1800
    resources: { cpus: 0.5, memory_mb: 4096 }
    budget: { max_tokens: 50000, max_cost_usd: 2.5, max_turns: 20, max_duration: 30m }
    secrets:
      TRACKER_KEY: { hosts: ["Tracker.example.com", "*.t.example:8443"], inject: "header:X-Tracker-Key" }
      PLAIN: { expose: true }
    network:
      mode: allowlist
      rules:
        - { domain: api.github.com, methods: [GET], action: allow }
        - { cidr: 192.0.2.0/24, ports: [22, "8000-8010"], action: deny }
volumes:
  books: { name: "books-${{ vars.CUSTOMER }}" }
  tools: { name: ledger-tools, version: "3fa9c07d", optional: true }
"#;

fn agent(config: &Value) -> AgentConfig {
    AgentConfig::from_json(config)
        .expect("a good configuration")
        .1
}

fn with_agent(agent: Value) -> Value {
    json!({"version": "1.0", "agents": {"my-agent": agent}})
}

#[test]
fn every_field_has_its_meaning() {
    let (stored, agent) = from_yaml(FULL).unwrap();
    assert!(stored["agents"]["pr-auditor"].is_object());
    assert_eq!(agent.name, "pr-auditor");
    assert_eq!(agent.framework.name, "codex");
    assert_eq!(
        agent.instructions,
        Some(Instructions::Text("Be brief.\nBe right.\n".to_owned()))
    );
    assert_eq!(agent.timeout_seconds, Some(1800));
    assert_eq!(
        agent.resources,
        Resources {
            cpu_millis: 500,
            memory_mb: 4096,
            ..Resources::default()
        }
    );
    assert_eq!(
        agent.budget,
        Budget {
            max_tokens: Some(50_000),
            max_cost_usd: Some(2.5),
            max_turns: Some(20),
            max_duration: Some(Duration::from_secs(1800)),
        }
    );
    assert_eq!(agent.mounts[1].key, "tools");
    assert_eq!(agent.mounts[1].path.as_str(), "/home/user/bin");
    assert_eq!(agent.volumes["books"].version, "latest");
    assert!(agent.volumes["tools"].optional);
    assert_eq!(agent.working_dir.as_str(), "/home/user/workspace");
    let names: Vec<_> = agent.required_variables().into_iter().collect();
    assert_eq!(names, ["CUSTOMER", "REGION"]);
    let names: Vec<_> = agent.required_secrets().into_iter().collect();
    assert_eq!(names, ["OPENAI_API_KEY", "PLAIN", "TRACKER_KEY"]);
}

#[test]
fn rules_and_bindings_are_typed() {
    let (_, agent) = from_yaml(FULL).unwrap();
    assert_eq!(agent.network.mode, NetworkMode::Allowlist);
    let [github, other] = agent.network.rules.as_slice() else {
        panic!("two rules")
    };
    assert_eq!(
        github.target,
        RuleTarget::Domain("api.github.com".to_owned())
    );
    assert_eq!(github.ports, [(80, 80), (443, 443)]);
    assert_eq!(other.ports, [(22, 22), (8000, 8010)]);
    assert_eq!(other.action, RuleAction::Deny);
    let SecretBinding::Brokered { hosts, inject } = &agent.secrets["TRACKER_KEY"] else {
        panic!("brokered")
    };
    assert_eq!(*inject, Inject::Header("x-tracker-key".to_owned()));
    assert_eq!(
        (hosts[0].host.as_str(), hosts[0].port),
        ("tracker.example.com", 443)
    );
    assert_eq!(
        (hosts[1].host.as_str(), hosts[1].port),
        ("*.t.example", 8443)
    );
    assert_eq!(agent.secrets["PLAIN"], SecretBinding::Exposed);
}

#[test]
fn the_smallest_configuration_has_all_defaults() {
    let agent = agent(&with_agent(json!({})));
    assert_eq!(agent.framework.name, "claude-code");
    assert_eq!(agent.resources, Resources::default());
    assert_eq!(agent.budget, Budget::default());
    assert_eq!(agent.network.mode, NetworkMode::Public);
    assert!(agent.timeout_seconds.is_none() && agent.image.is_none() && agent.custom.is_none());
}

#[test]
fn the_stored_configuration_is_the_written_one_with_the_name_in_lower_case() {
    let config = json!({"agents": {"My-Agent": {"framework": "shell"}}, "version": "1.0"});
    let (stored, _) = AgentConfig::from_json(&config).unwrap();
    assert_eq!(
        stored.to_string(),
        r#"{"agents":{"my-agent":{"framework":"shell"}},"version":"1.0"}"#
    );
    let (again, _) = AgentConfig::from_json(&stored).unwrap();
    assert_eq!(again, stored);
}

#[test]
fn yaml_style_makes_no_new_version() {
    let block = "# c\nagents:\n  Abc:\n    resources:\n      cpus: 2.0\nversion: '1.0'\n";
    let flow = r#"{"version": "1.0", "agents": {"abc": {"resources": {"cpus": 2}}}}"#;
    let id = |text| agent_version_id(&from_yaml(text).unwrap().0);
    assert_eq!(id(block), id(flow));
}

#[test]
fn the_firewall_form_means_a_network() {
    let config = with_agent(json!({"experimental_firewall": {
        "rules": [
            {"domain": "*.GitHub.com", "action": "ALLOW"},
            {"ip": "192.0.2.0/24", "action": "DENY"},
            {"ip": "192.0.2.7", "action": "ALLOW"},
            {"final": "ALLOW"},
        ],
        "experimental_mitm": true,
        "experimental_seal_secrets": true,
    }}));
    let agent = agent(&config);
    assert_eq!(agent.network.mode, NetworkMode::Public);
    assert!(agent.network.inspect);
    assert_eq!(agent.network.rules.len(), 3);
    assert_eq!(
        agent.network.rules[0].target,
        RuleTarget::Domain("*.github.com".to_owned())
    );
    assert_eq!(agent.sealed_hosts[0].as_str(), "*.github.com");
    let without_final = with_agent(json!({"experimental_firewall": {"rules": []}}));
    assert_eq!(
        self::agent(&without_final).network.mode,
        NetworkMode::Allowlist
    );
    let off = with_agent(json!({"experimental_firewall": {"enabled": false, "rules": []}}));
    assert_eq!(self::agent(&off).network.mode, NetworkMode::Public);
}

#[test]
fn a_custom_agent_resumes_with_its_command_unless_it_has_another() {
    let config = with_agent(json!({"framework": "custom", "command": ["run", "{prompt}"]}));
    let custom = agent(&config).custom.unwrap();
    assert_eq!(custom.resume_command, custom.command);
}

#[test]
fn the_examples_of_the_specification_are_good() {
    for text in [
        include_str!("fixtures/changelog-writer.yaml"),
        include_str!("fixtures/ledger-check.yaml"),
        include_str!("fixtures/pr-auditor.yaml"),
    ] {
        from_yaml(text).unwrap();
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(\\$\\{\\{ vars.X \\}\\}|[a-z/:*.-]|\\PC){0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "network",
            "rules",
            "domain",
            "ip",
            "cidr",
            "ports",
            "methods",
            "paths",
            "action",
            "mode",
            "secrets",
            "hosts",
            "inject",
            "expose",
            "environment",
            "volumes",
            "skills",
            "instructions",
            "resources",
            "cpus",
            "framework",
            "command",
            "working_dir",
            "bundle",
            "experimental_firewall",
            "final",
            "image",
            "timeout_seconds",
            "history",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z]{1,5}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_configuration_makes_it_panic(value in json_value(), top in json_value()) {
        let _ = AgentConfig::from_json(&with_agent(value));
        let _ = AgentConfig::from_json(&top);
    }

    #[test]
    fn yaml_and_json_say_the_same(value in json_value()) {
        let config = with_agent(value);
        let from_file = from_yaml(&config.to_string());
        let from_api = AgentConfig::from_json(&config);
        if let (Ok(file), Ok(api)) = (&from_file, &from_api) {
            prop_assert_eq!(agent_version_id(&file.0), agent_version_id(&api.0));
        }
        prop_assert!(from_api.is_err() || from_file.is_ok());
    }
}
