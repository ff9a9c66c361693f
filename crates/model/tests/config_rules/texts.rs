//! What is said, and where.

use vm0_model::config::{AgentConfig, Problem, from_yaml, problem_at};

use crate::{bad, good};

fn said(problem: &Problem) -> String {
    match problem.line {
        Some(_) => problem.in_file("")[1..].to_owned(),
        None => format!("?{}", problem.in_file("")),
    }
}

#[test]
fn every_broken_rule_is_named_once_with_its_place() {
    for bad in bad::all() {
        let problems = from_yaml(&bad.text).expect_err(&bad.text);
        let lines: Vec<_> = problems.iter().map(said).collect();
        assert_eq!(lines, [bad.says], "{}", bad.text);
    }
}

#[test]
fn what_keeps_the_rules_is_accepted() {
    for text in good::all() {
        let read = from_yaml(&text);
        assert!(read.is_ok(), "{text}: {:?}", read.unwrap_err());
    }
}

#[test]
fn the_number_of_entries_is_bounded() {
    let list = |key: &str, count: usize, item: fn(usize) -> String| {
        let items: Vec<_> = (0..count).map(item).collect();
        good::agent_file(&format!("{key}: [{}]", items.join(", ")))
    };
    let skill = |number| format!("skills/s{number}");
    let mount = |number| format!("\"data:/m{number}\"");
    for (key, most, item) in [
        ("skills", 32, skill as fn(usize) -> String),
        ("volumes", 256, mount),
    ] {
        assert!(from_yaml(&list(key, most, item)).is_ok(), "{key}");
        let problems = from_yaml(&list(key, most + 1, item)).unwrap_err();
        let text = format!("4:5: agents.demo.{key}: must have at most {most} entries");
        assert_eq!(said(&problems[0]), text);
    }
    let volumes: Vec<_> = (0..33).map(|n| format!("v{n}: {{ name: v{n} }}")).collect();
    let problems = from_yaml(&good::volumes_file(&volumes.join("\n  "))).unwrap_err();
    assert_eq!(
        said(&problems[0]),
        "3:1: volumes: must have at most 32 entries"
    );
    let long = format!("description: {}", "é".repeat(1001));
    let problems = from_yaml(&good::agent_file(&long)).unwrap_err();
    let text = "4:5: agents.demo.description: must be at most 1000 characters long";
    assert_eq!(said(&problems[0]), text);
    let long = format!("instructions: \"\\n{}\"", "x".repeat(64 << 10));
    let problems = from_yaml(&good::agent_file(&long)).unwrap_err();
    let text = "4:5: agents.demo.instructions: must be at most 65536 bytes; use a file";
    assert_eq!(said(&problems[0]), text);
}

#[test]
fn problems_come_in_the_order_of_the_file() {
    let text =
        "agents:\n  demo:\n    volumes: [x]\n    framwork: shell\n    image: 7\nversion: 1\n";
    let lines: Vec<_> = from_yaml(text)
        .unwrap_err()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [Some(3), Some(4), Some(5), Some(6)]);
}

#[test]
fn instructions_and_skills_need_a_bundle_only_where_it_is_sent() {
    for fields in ["skills: [skills/a]", "instructions: AGENTS.md"] {
        let (config, _) = from_yaml(&good::agent_file(fields)).unwrap();
        let problems = AgentConfig::from_json(&config).unwrap_err();
        let (key, _) = fields.split_once(':').unwrap();
        let text =
            format!("agents.demo.{key}: instructions and skills need a bundle; run vm0 compose");
        assert_eq!(problems[0].to_string(), text);
        let mut config = config;
        config["agents"]["demo"]["bundle"] = "ab".repeat(32).into();
        assert!(AgentConfig::from_json(&config).is_ok());
    }
}

#[test]
fn a_fault_found_beside_the_file_has_the_place_of_its_value() {
    let text = good::agent_file("framework: shell\nskills: [skills/a, skills/b]");
    let at = |path| said(&problem_at(&text, path, "is not there"));
    assert_eq!(
        at("agents.demo.skills.1"),
        "5:24: agents.demo.skills.1: is not there"
    );
    assert_eq!(
        at("agents.demo.framework"),
        "4:5: agents.demo.framework: is not there"
    );
    assert_eq!(at("agents.none"), "?: agents.none: is not there");
}
