//! System calls, files of the kernel, sockets and devices: whatever a program can try at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use vm0_testkit::{Api, Server, archive};

use super::line::{Line, judge};
use super::plants::Plants;
use crate::sandboxes::server;

const LIMIT: Duration = Duration::from_secs(300);
const AT_LEAST: usize = 100;
/// What the host must be the same in afterwards.
const UNCHANGED: [&str; 4] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
];

pub(super) async fn campaign(kind: &str) {
    let plants = Plants::new();
    let control = control(&plants);
    let server = server(kind);
    let before = UNCHANGED.map(read);
    let inside = inside(&server, &plants).await;
    judge("calls", kind, AT_LEAST, &control, &inside);
    assert_eq!(UNCHANGED.map(read), before);
    assert_eq!(groups_of_probes(), "");
    let next = server
        .api()
        .run_to_end(&json!({ "agent": "prober", "prompt": "echo still here" }))
        .await;
    assert_eq!(next["output"], "still here");
}

/// The program of probes, which is an example of the crate `sandbox`.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_vm0")).with_file_name("examples/probe");
    assert!(
        program.exists(),
        "{} is not built: cargo build --workspace --example probe",
        program.display()
    );
    program
}

/// Runs all probes outside, as root.
fn control(plants: &Plants) -> Vec<Line> {
    let output = Command::new(program())
        .arg("control")
        .current_dir(plants.dir.path())
        .envs(plants.variables())
        .output()
        .expect("the probe program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Line::read_all(&String::from_utf8_lossy(&output.stdout))
}

/// Runs all probes as an agent.
async fn inside(server: &Server, plants: &Plants) -> Vec<Line> {
    let api = server.api();
    push_program(&api).await;
    let config = json!({ "version": "1.0",
        "agents": { "prober": { "framework": "shell", "volumes": ["probe:/home/user/probe"] } },
        "volumes": { "probe": { "name": "probe" } } });
    api.agent(&config).await;
    let exports: String = plants
        .variables()
        .map(|(name, value)| format!("export {name}='{value}'\n"))
        .collect();
    let prompt = format!(
        "{exports}mkdir /tmp/probes && cd /tmp/probes && umask 077 && \
         /home/user/probe/probe run > ~/workspace/lines"
    );
    let body = json!({ "agent": "prober", "prompt": prompt, "artifact_name": "lines" });
    let id = api.run(&body).await;
    let run = api.run_end(&id, LIMIT).await;
    assert_eq!(run["status"], "completed", "{run}");
    let artifact = api.storage_id("artifacts", "lines").await;
    let files = api.download("artifacts", &artifact, None).await;
    Line::read_all(&String::from_utf8_lossy(&files["lines"]))
}

async fn push_program(api: &Api) {
    let volume = api.storage("volumes", "probe").await;
    let bytes = std::fs::read(program()).expect("the program is readable");
    let files =
        json!([{ "path": "probe", "size": bytes.len(), "hash": archive::sha256_hex(&bytes) }]);
    let archive = archive::tar_gz_program("probe", &bytes);
    api.push_archive("volumes", &volume, &files, archive)
        .await
        .expect(200);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Control groups on the host that a probe has made.
fn groups_of_probes() -> String {
    let output = Command::new("find")
        .args([
            "/sys/fs/cgroup/vm0",
            "/sys/fs/cgroup/pids/vm0",
            "/sys/fs/cgroup/memory/vm0",
        ])
        .args(["-name", "vm0-escape-probe-*"])
        .output()
        .expect("find runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
