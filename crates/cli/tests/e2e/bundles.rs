//! Instructions and skills on their way from a directory to the agent.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use vm0_testkit::{ModelServer, Server};

use crate::{agents, sandboxes};

crate::on_each_sandbox!(
    instructions_and_skills_reach_the_real_claude_code,
    instructions_and_skills_lie_where_each_framework_looks,
    a_bundle_without_what_the_agent_names_fails_in_prepare,
);

/// `vm0` as a user of `server` in `dir`.
fn vm0(server: &Server, dir: &Path, args: &[&str]) -> Output {
    server.client(dir, args).output().expect("vm0 runs")
}

fn compose(server: &Server, dir: &Path) {
    let output = vm0(server, dir, &["compose"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file")).expect("directories");
    fs::write(path, text).expect("a file");
}

/// A project with instructions and a skill, whose agent has these fields too.
fn project(fields: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "version: \"1.0\"\nagents:\n  writer:\n    instructions: AGENTS.md\n    \
         skills: [skills/heron]\n    {fields}\n"
    );
    write(&dir.path().join("vm0.yaml"), &config);
    write(
        &dir.path().join("AGENTS.md"),
        "Always mention the purple elephant.\n",
    );
    let skill = "---\nname: heron\ndescription: Counts the grey herons of a lake.\n---\n\
                 # Herons\nLook at the lake.\n";
    write(&dir.path().join("skills/heron/SKILL.md"), skill);
    let script = dir.path().join("skills/heron/bin/count");
    write(&script, "#!/bin/sh\necho 42 herons\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(script, mode).expect("a mode");
    dir
}

async fn instructions_and_skills_reach_the_real_claude_code(kind: &str) {
    let model = ModelServer::start().await;
    let server = agents::server(kind, "claude-code", &model);
    let url = model.url_inside();
    let dir = project(&format!(
        "environment: {{ ANTHROPIC_API_KEY: \"${{{{ secrets.ANTHROPIC_API_KEY }}}}\", \
         ANTHROPIC_BASE_URL: \"{url}\" }}"
    ));
    compose(&server, dir.path());
    let prompt = "RUN[~/.claude/skills/heron/bin/count > made.txt]RUN";
    let body = json!({ "agent": "writer", "prompt": prompt, "artifact_name": "w",
        "secrets": { "ANTHROPIC_API_KEY": "sk-ant-api03-test-key-0123456789" } });
    let api = server.api();
    let run = api.run_to_end(&body).await;
    assert_eq!(run["status"], "completed", "{run}");
    for told in ["purple elephant", "Counts the grey herons of a lake"] {
        assert!(
            !model.requests_with(told).is_empty(),
            "the model hears of {told}"
        );
    }
    let artifact = api.storage_id("artifacts", "w").await;
    let files = api.download("artifacts", &artifact, None).await;
    assert_eq!(files["made.txt"], b"42 herons\n", "the skill's program ran");
}

async fn instructions_and_skills_lie_where_each_framework_looks(kind: &str) {
    let server = sandboxes::server(kind);
    let api = server.api();
    let look = "cat \"$VM0_INSTRUCTIONS_FILE\"; \"$VM0_SKILLS_DIR/heron/bin/count\"; \
                echo \"$VM0_INSTRUCTIONS_FILE $VM0_SKILLS_DIR\"; \
                echo more >> \"$VM0_SKILLS_DIR/heron/SKILL.md\" && \
                touch \"$VM0_SKILLS_DIR/new\" && stat -c %u \"$VM0_SKILLS_DIR/heron/SKILL.md\"";
    let expected = "Always mention the purple elephant.\n42 herons\n\
                    /home/user/.vm0/instructions.md /home/user/.vm0/skills\n1000";
    let custom = "framework: custom\n    command: [bash, \"{prompt_file}\"]";
    for fields in ["framework: shell", custom] {
        let dir = project(fields);
        compose(&server, dir.path());
        // What a run writes there is gone with it.
        for _ in 0..2 {
            let run = api
                .run_to_end(&json!({ "agent": "writer", "prompt": look }))
                .await;
            assert_eq!(run["output"], expected, "{run}");
        }
    }
    let dir = project("framework: shell");
    write(&dir.path().join("AGENTS.md"), "Edited.\n");
    compose(&server, dir.path());
    let body = json!({ "agent": "writer", "prompt": "cat ~/.vm0/instructions.md" });
    assert_eq!(api.run_to_end(&body).await["output"], "Edited.");
}

async fn a_bundle_without_what_the_agent_names_fails_in_prepare(kind: &str) {
    let server = sandboxes::server(kind);
    let api = server.api();
    let bundles = api.storage("volumes", "agent-bundles").await;
    let files: &[(&str, &[u8])] = &[("skills/heron", b"not a directory")];
    api.push("volumes", &bundles, files).await;
    let detail = api.get(&format!("/v1/volumes/{bundles}")).await.expect(200);
    let bundle = &detail["current_version"]["id"];
    for (fields, text) in [
        (
            json!({ "instructions": "AGENTS.md" }),
            "[prepare] the bundle has no instructions.md; run: vm0 compose",
        ),
        (
            json!({ "skills": ["skills/heron"] }),
            "[prepare] the bundle has no skill 'heron'; run: vm0 compose",
        ),
    ] {
        let mut agent = fields.clone();
        agent["framework"] = json!("shell");
        agent["bundle"] = bundle.clone();
        api.agent(&json!({ "version": "1.0", "agents": { "lacking": agent } }))
            .await;
        let run = api
            .run_to_end(&json!({ "agent": "lacking", "prompt": "true" }))
            .await;
        assert_eq!(
            (&run["status"], &run["error"]),
            (&json!("failed"), &json!(text)),
            "{fields}"
        );
    }
}
