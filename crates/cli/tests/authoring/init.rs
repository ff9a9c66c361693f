//! `vm0 init`.

use std::fs;

use serde_json::json;

use crate::harness::{Project, server};

#[test]
fn what_init_writes_composes_at_once_with_every_framework() {
    let server = server();
    for framework in [
        "claude-code",
        "codex",
        "gemini-cli",
        "opencode",
        "shell",
        "custom",
    ] {
        let project = Project::on(&server);
        let said = project.ok(&["init", "-n", framework, "--framework", framework]);
        assert_eq!(said, "✓ Created vm0.yaml\n✓ Created AGENTS.md\n");
        project.ok(&["compose", "--dry-run"]);
        let composed = project.json(&["compose"]);
        assert_eq!(composed["name"], framework);
        assert_eq!(composed["action"], "created");
        assert_eq!(composed["bundle"].as_str().map(str::len), Some(64));
    }
}

#[test]
fn init_says_what_comes_next() {
    let project = Project::offline();
    let output = project.run(&["init", "-n", "Report-Writer"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    for line in [
        "Next:\n",
        "  vm0 compose\n",
        "  vm0 run report-writer \"",
        "  vm0 cook \"",
    ] {
        assert!(stderr.contains(line), "{stderr}");
    }
}

#[test]
fn files_that_are_there_are_kept_unless_it_is_told_otherwise() {
    let project = Project::offline();
    project.write("AGENTS.md", "mine\n");
    assert_eq!(
        project.refused(&["init", "-n", "demo"]),
        (
            Some(1),
            "✗ Already here: AGENTS.md\n  Overwrite: vm0 init -f\n".to_owned()
        )
    );
    assert!(!project.path().join("vm0.yaml").exists());
    let document = project.json(&["init", "-n", "demo", "-f"]);
    assert_eq!(
        document,
        json!({ "ok": true, "name": "demo", "files": ["vm0.yaml", "AGENTS.md"] })
    );
    let text = fs::read_to_string(project.path().join("AGENTS.md")).unwrap();
    assert!(text.starts_with("# demo\n"), "{text}");
}

#[test]
fn without_a_terminal_the_name_must_be_given() {
    let project = Project::offline();
    assert_eq!(
        project.refused(&["init"]),
        (
            Some(2),
            "✗ The agent has no name\n  Name it: vm0 init --name project\n".to_owned()
        )
    );
    let (code, text) = project.refused(&["init", "-n", "a_b"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("✗ Invalid agent name: 'a_b'"), "{text}");
    let (code, text) = project.refused(&["init", "-n", "demo", "--framework", "claude"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("claude-code"), "{text}");
    assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0);
}

#[test]
fn editors_are_led_to_the_schema_of_the_server_that_is_in_use() {
    let project = Project::offline();
    let first_line = |project: &Project| {
        let text = fs::read_to_string(project.path().join("vm0.yaml")).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    project.ok(&["init", "-n", "demo"]);
    assert!(!first_line(&project).contains("$schema"));
    let project = project.with("VM0_API_URL", "https://vm0.example/");
    project.ok(&["init", "-n", "demo", "-f"]);
    assert_eq!(
        first_line(&project),
        "# yaml-language-server: $schema=https://vm0.example/schema/vm0.yaml.json"
    );
}
