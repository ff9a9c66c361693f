//! The floor: what `runsc run` or `runc run` of `/bin/true` takes with the flags of our sandboxes,
//! a bundle of the host's `/usr`, and nothing of ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::error::Failure;
use crate::exit::Exit;

const REPEATS: u32 = 20;

/// Times of the runtime of `kind`, in milliseconds; `None` if the kind has none.
pub(super) fn measure(kind: &str) -> Result<Option<Vec<f64>>, Failure> {
    let (program, flags): (_, &[&str]) = match kind {
        "gvisor" => (
            "runsc",
            &["--platform=systrap", "--network=none", "--overlay2=none"],
        ),
        "runc" => ("runc", &[]),
        _ => return Ok(None),
    };
    let dir = tempfile::Builder::new()
        .prefix("vm0-bench-raw-")
        .tempdir()?;
    write_bundle(dir.path())?;
    let mut times = Vec::new();
    for number in 0..REPEATS {
        let started = Instant::now();
        let output = Command::new(program)
            .arg("--root")
            .arg(dir.path().join("state"))
            .args(flags)
            .args(["run", "--bundle"])
            .arg(dir.path())
            .arg(format!("vm0-bench-{}-{number}", std::process::id()))
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let message = format!("Failed to run {program} by itself: {}", text.trim());
            return Err(Failure::new(Exit::Failed, "bench_raw", message));
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Some(times))
}

fn write_bundle(dir: &Path) -> Result<(), Failure> {
    let root = dir.join("root");
    for sub in ["usr", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(root.join(sub))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link))?;
    }
    let config = serde_json::to_vec(&config()).expect("a JSON value");
    fs::write(dir.join("config.json"), config)?;
    Ok(())
}

fn config() -> Value {
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "root", "readonly": true },
        "hostname": "raw",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755", "size=65536"] },
            { "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"] },
        ],
        "linux": { "namespaces": namespaces },
    })
}
