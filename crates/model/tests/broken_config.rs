//! Everything that is wrong with one file is said at once, in the order of the file.

use vm0_model::config::{AgentConfig, from_yaml};

const BROKEN: &str = include_str!("fixtures/broken.yaml");

#[test]
fn every_problem_of_a_file_is_reported_with_its_line() {
    let problems = from_yaml(BROKEN).unwrap_err();
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.in_file("vm0.yaml"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_api_names_the_field_below_config() {
    let config = serde_json::json!({
        "version": "1.0",
        "agents": {"my-agent": {"framework": "claude"}},
    });
    let error = AgentConfig::from_json(&config).unwrap_err()[0].api_error();
    assert_eq!(error.code, vm0_model::ErrorCode::InvalidParameter);
    assert_eq!(
        error.param.as_deref(),
        Some("config.agents.my-agent.framework")
    );
    assert_eq!(
        error.message,
        "agents.my-agent.framework: invalid value 'claude'; allowed: claude-code, codex, \
         gemini-cli, opencode, shell, custom"
    );
}

#[test]
fn the_top_level_has_its_own_texts() {
    let first = |config: serde_json::Value| {
        let problem = AgentConfig::from_json(&config).unwrap_err().remove(0);
        (problem.api_error().param.unwrap_or_default(), problem.text)
    };
    let agent = serde_json::json!({"framework": "shell"});
    for (config, param, text) in [
        (serde_json::json!([]), "config", "must be a map, not a list"),
        (
            serde_json::json!({"agents": {"abc": agent}}),
            "config.version",
            "Missing config.version",
        ),
        (
            serde_json::json!({"version": "1.0"}),
            "config.agents",
            "Missing agents object in config",
        ),
        (
            serde_json::json!({"version": 1, "agents": {"abc": agent}}),
            "config.version",
            "must be a string; write version: \"1.0\"",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {}}),
            "config.agents",
            "no agent defined; exactly one is required",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"abc": agent, "def": agent}}),
            "config.agents",
            "Multiple agents not supported. Only one agent allowed: abc, def",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"ab": agent}}),
            "config.agents.ab",
            "invalid name 'ab': use 3-64 letters, digits or '-', beginning and ending with a \
             letter or digit",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"abc": {"skills": ["a"]}}}),
            "config.agents.abc.skills",
            "instructions and skills need a bundle; run vm0 compose",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"abc": {"instructions": "A.md"}}}),
            "config.agents.abc.instructions",
            "instructions and skills need a bundle; run vm0 compose",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"abc": {"framework": "custom"}}}),
            "config.agents.abc.command",
            "is required",
        ),
        (
            serde_json::json!({"version": "1.0", "agents": {"abc": {"network": {}, "experimental_firewall": {}}}}),
            "config.agents.abc.experimental_firewall",
            "use network or experimental_firewall, not both",
        ),
    ] {
        assert_eq!(
            first(config.clone()),
            (param.to_owned(), text.to_owned()),
            "{config}"
        );
    }
}

#[test]
fn deeply_nested_json_is_refused() {
    let mut value = serde_json::json!("x");
    for _ in 0..33 {
        value = serde_json::json!([value]);
    }
    let problems = AgentConfig::from_json(&value).unwrap_err();
    assert_eq!(problems[0].to_string(), "nested deeper than 32 levels");
}
