//! `vm0 completion`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Project, server, write};

/// What bash offers for a line, its last word being completed, once it has read the script.
fn bash_offers(project: &Project, words: &[&str]) -> Vec<String> {
    let script = project.beside().join("vm0.bash");
    write(&script, &project.ok(&["completion", "bash"]));
    let checked = Command::new("bash").arg("-n").arg(&script).status();
    assert!(checked.expect("bash runs").success(), "the script is bash");
    let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!(
        "source '{}'\n\
         COMP_WORDS=({})\n\
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         COMP_TYPE=9\n\
         name=$(complete -p vm0 | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\n\
         \"$name\" vm0 \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script.display(),
        words.join(" ")
    );
    let program = Path::new(env!("CARGO_BIN_EXE_vm0"))
        .parent()
        .expect("a directory");
    let vm0 = project.command(&[]);
    let environment = vm0
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    let output = Command::new("bash")
        .args(["--norc", "-c", &line])
        .current_dir(project.path())
        .env_clear()
        .envs(environment)
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let offers = String::from_utf8(output.stdout).expect("offers are text");
    offers.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn commands_options_and_words_are_offered() {
    let project = Project::offline();
    let commands = bash_offers(&project, &["vm0", "com"]);
    assert_eq!(commands, ["compose", "completion"]);
    let options = bash_offers(&project, &["vm0", "compose", "--dr"]);
    assert_eq!(options, ["--dry-run"]);
    let words = bash_offers(&project, &["vm0", "init", "--framework", "c"]);
    assert_eq!(words, ["claude-code", "codex", "custom"]);
}

#[test]
fn the_names_of_agents_are_offered() {
    let server = server();
    let project = Project::on(&server);
    for name in ["report-writer", "report-reader", "other"] {
        let text = format!("version: \"1.0\"\nagents: {{ {name}: {{ framework: shell }} }}\n");
        project.write("vm0.yaml", &text);
        project.ok(&["compose"]);
    }
    let mut agents = bash_offers(&project, &["vm0", "agent", "status", "report-"]);
    agents.sort();
    assert_eq!(agents, ["report-reader", "report-writer"]);
    let run = bash_offers(&project, &["vm0", "run", "oth"]);
    assert_eq!(run, ["other"]);
}

#[test]
fn a_server_that_is_not_there_offers_nothing_and_says_nothing() {
    let project = Project::offline()
        .with("VM0_API_URL", "http://127.0.0.1:1")
        .with("VM0_TOKEN", "x");
    let agents = bash_offers(&project, &["vm0", "agent", "status", "a"]);
    assert!(agents.iter().all(String::is_empty), "{agents:?}");
}

#[test]
fn every_shell_has_a_script() {
    let project = Project::offline();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            project.ok(&["completion", shell]).contains("vm0"),
            "{shell}"
        );
    }
    let (code, _) = project.refused(&["completion", "tcsh"]);
    assert_eq!(code, Some(2));
}
