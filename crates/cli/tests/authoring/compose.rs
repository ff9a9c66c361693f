//! `vm0 compose` of files beside the agent file, and what skills ask for.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;

use crate::harness::{Project, server};

const FILE: &str = "version: \"1.0\"\nagents:\n  Writer:\n    framework: shell\n    \
                    instructions: AGENTS.md\n    skills: [skills/audit]\n";

fn project(server: &vm0_testkit::Server) -> Project {
    let project = Project::on(server);
    project.write("vm0.yaml", FILE);
    project.write("AGENTS.md", "Be brief.\n");
    project.write("skills/audit/SKILL.md", "# Audit\n");
    project
}

#[test]
fn instructions_and_skills_are_pinned_by_a_bundle() {
    let server = server();
    let project = project(&server);
    let said = project.ok(&["compose"]);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("✓ Bundle uploaded "), "{said}");
    assert!(lines[0].ends_with(" (2 files, 18 B)"), "{said}");
    assert_eq!(lines[1], "✓ Compose created: writer");
    let first = project.json(&["compose"]);
    assert_eq!(first["action"], "existing");
    let written = &first["config"]["agents"]["writer"]["bundle"];
    assert_eq!(written, &first["bundle"]);
    let again = project.ok(&["compose"]);
    let short = &first["bundle"].as_str().unwrap()[..8];
    assert!(
        again.starts_with(&format!("Bundle unchanged {short}\n")),
        "{again}"
    );
    assert!(
        again.contains("✓ Compose version exists: writer\n"),
        "{again}"
    );
    project.write("AGENTS.md", "Be long.\n");
    let edited = project.json(&["compose", "-m", "longer"]);
    assert_eq!(edited["action"], "updated");
    assert_ne!(edited["bundle"], first["bundle"]);
    assert_eq!(edited["current_version"]["message"], "longer");
    project.write("AGENTS.md", "Be brief.\n");
    let back = project.json(&["compose"]);
    assert_eq!(back["current_version_id"], first["current_version_id"]);
}

#[test]
fn what_lies_beside_the_file_is_checked_without_a_server() {
    let project = Project::offline();
    project.write("vm0.yaml", FILE);
    project.write("skills/audit/README.md", "no skill\n");
    let (code, text) = project.refused(&["compose", "--dry-run"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "✗ vm0.yaml:5:5: agents.writer.instructions: 'AGENTS.md' is not there\n\
         ✗ vm0.yaml:6:14: agents.writer.skills.0: the skill has no file SKILL.md\n  \
         Check again: vm0 compose vm0.yaml --dry-run\n"
    );
    let output = project.run(&["compose", "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["valid"], false);
    assert_eq!(
        document["problems"][1],
        json!({ "path": "agents.writer.skills.0", "line": 6, "column": 14,
                "message": "the skill has no file SKILL.md" })
    );
}

#[test]
fn a_bundle_that_is_written_in_the_file_is_used_as_it_is() {
    let server = server();
    let project = project(&server);
    let first = project.json(&["compose"]);
    let bundle = first["bundle"].as_str().unwrap();
    let other = Project::on(&server);
    other.write("vm0.yaml", &format!("{FILE}    bundle: \"{bundle}\"\n"));
    let output = other.run(&["compose"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("! bundle is written in the file"),
        "{stderr}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().next(),
        Some("✓ Compose version exists: writer")
    );
    other.write(
        "vm0.yaml",
        &format!("{FILE}    bundle: \"{}\"\n", "0".repeat(64)),
    );
    let (code, text) = other.refused(&["compose"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("agents.writer.bundle: is no version"),
        "{text}"
    );
}

#[test]
fn new_secrets_of_skills_need_approval() {
    let server = server();
    let project = project(&server);
    let skill = "---\nname: audit\nvm0_secrets: [GH_TOKEN]\nvm0_vars: [REGION]\n---\n# Audit\n";
    project.write("skills/audit/SKILL.md", skill);
    let (code, text) = project.refused(&["compose"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        text,
        "Secrets:\n  GH_TOKEN  audit (new)\nVariables:\n  REGION  audit (new)\n\
         ✗ Skills ask for new secrets: GH_TOKEN\n  Approve them: vm0 compose --yes\n"
    );
    assert_eq!(project.json(&["agent", "list"]), json!({ "data": [] }));
    let composed = project.json(&["compose", "--yes"]);
    assert_eq!(
        composed["config"]["agents"]["writer"]["environment"],
        json!({ "GH_TOKEN": "${{ secrets.GH_TOKEN }}", "REGION": "${{ vars.REGION }}" })
    );
    // What the agent has already needs no second approval.
    project.write("skills/audit/more.md", "more\n");
    assert_eq!(project.json(&["compose"])["action"], "updated");
    let asked = "---\nvm0_secrets: [GH_TOKEN, OTHER]\n---\n";
    project.write("skills/audit/SKILL.md", asked);
    let (code, text) = project.refused(&["compose"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("new secrets: OTHER\n"), "{text}");
}

#[test]
fn on_a_terminal_somebody_is_asked() {
    let server = server();
    let project = project(&server);
    project.write(
        "skills/audit/SKILL.md",
        "---\nvm0_secrets: [GH_TOKEN]\n---\n",
    );
    let (code, screen) = answer(project.command(&["compose"]), "n\n");
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("GH_TOKEN  audit (new)"), "{screen}");
    assert!(
        screen.contains("Give the agent GH_TOKEN? [y/N]"),
        "{screen}"
    );
    assert!(screen.contains("Compose cancelled"), "{screen}");
    let (code, screen) = answer(project.command(&["compose"]), "y\n");
    assert_eq!(code, Some(0), "{screen}");
}

/// Runs a command on a terminal of its own and types `keys` at its question.
fn answer(mut command: Command, keys: &str) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it can be opened");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let path = std::ffi::OsString::from_vec(name.into_bytes());
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("the terminal opens")
    };
    command.stdin(open()).stderr(open()).stdout(Stdio::null());
    let mut child = command.spawn().expect("vm0 runs");
    drop(command);
    let mut master = File::from(master);
    let mut screen = Vec::new();
    let mut typed = false;
    let mut buffer = [0; 4096];
    // The end of a terminal whose other side is closed is an error.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..count]);
        if !typed && String::from_utf8_lossy(&screen).contains("[y/N]") {
            master.write_all(keys.as_bytes()).expect("it is typed");
            typed = true;
        }
    }
    let status = child.wait().expect("vm0 ends");
    (status.code(), String::from_utf8_lossy(&screen).into_owned())
}
