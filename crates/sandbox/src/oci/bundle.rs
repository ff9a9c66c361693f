//! The bundle: `config.json` for the runtime.

use std::path::Path;

use serde_json::{Value, json};
use vm0_guest::{AGENT_PATH, GuestConfig, HOME, PLATFORM_DIR};

use super::layout::Layout;
use super::runtime::Runtime;
use super::seccomp;
use super::tun;
use crate::contract::{RootImage, SandboxSpec};
use crate::ids;

const PERIOD_MICROS: u64 = 100_000;
/// What PID 1 needs to start programs as the user and to kill them.
const CAPABILITIES: [&str; 4] = ["CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];
/// What it needs besides to make an interface, in its own network namespace; it gives it up before
/// it starts anything.
const NETWORK_CAPABILITY: &str = "CAP_NET_ADMIN";
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A directory of the host that appears inside.
pub(crate) struct Bound<'a> {
    pub(crate) source: &'a Path,
    pub(crate) target: &'a str,
}

/// The configuration of a sandbox; `mounts` in the order in which they are made.
pub(crate) fn config(
    runtime: Runtime,
    layout: &Layout,
    spec: &SandboxSpec,
    cgroup: &str,
    first_id: u32,
    mounts: &[Bound<'_>],
) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(runtime, spec),
        "root": {"path": layout.root(), "readonly": false},
        "hostname": "sandbox",
        "mounts": all_mounts(runtime, layout, spec, mounts),
        "linux": linux(runtime, spec, cgroup, first_id),
    })
}

fn process(runtime: Runtime, spec: &SandboxSpec) -> Value {
    let guest = GuestConfig {
        proxy: spec.network,
        transparent: spec.network,
        pids: (runtime == Runtime::Runsc).then_some(spec.resources.pids),
        filter: runtime == Runtime::Runsc,
    };
    let guest = serde_json::to_string(&guest).expect("a struct of plain values");
    let open_files = super::backend::open_files();
    let mut capabilities = CAPABILITIES.to_vec();
    if spec.network {
        capabilities.push(NETWORK_CAPABILITY);
    }
    json!({
        "terminal": false,
        "user": {"uid": 0, "gid": 0},
        "args": [AGENT_PATH, "init", guest],
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "noNewPrivileges": true,
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        },
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "hard": open_files, "soft": open_files},
            {"type": "RLIMIT_CORE", "hard": 0, "soft": 0},
        ],
    })
}

fn linux(runtime: Runtime, spec: &SandboxSpec, cgroup: &str, first_id: u32) -> Value {
    let map = json!([{"containerID": 0, "hostID": first_id, "size": ids::COUNT}]);
    let mut namespaces: Vec<Value> = ["pid", "ipc", "uts", "mount", "network", "user"]
        .map(|kind| json!({"type": kind}))
        .into();
    let mut linux = json!({
        "uidMappings": map,
        "gidMappings": map,
        "cgroupsPath": cgroup,
        "resources": resources(runtime, spec),
    });
    if runtime == Runtime::Runc {
        namespaces.push(json!({"type": "cgroup"}));
        linux["seccomp"] = seccomp::filter();
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
    }
    linux["namespaces"] = Value::Array(namespaces);
    linux
}

fn resources(runtime: Runtime, spec: &SandboxSpec) -> Value {
    let limits = &spec.resources;
    let mut devices = devices();
    if runtime == Runtime::Runc && spec.network {
        let (major, minor) = tun::NUMBERS;
        devices.push(json!({
            "allow": true, "type": "c", "major": major, "minor": minor, "access": "rw",
        }));
    }
    json!({
        "memory": {"limit": limits.memory_bytes},
        "cpu": {
            "quota": u64::from(limits.cpu_millis) * PERIOD_MICROS / 1000,
            "period": PERIOD_MICROS,
        },
        "pids": {"limit": limits.pids},
        "devices": devices,
    })
}

/// The devices that every sandbox may use.
fn devices() -> Vec<Value> {
    vec![
        json!({"allow": false, "access": "rwm"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 7, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rw"}),
        json!({"allow": true, "type": "c", "major": 136, "access": "rw"}),
    ]
}

fn all_mounts(
    runtime: Runtime,
    layout: &Layout,
    spec: &SandboxSpec,
    mounts: &[Bound<'_>],
) -> Vec<Value> {
    let shm = format!("size={}", spec.resources.memory_bytes / 2);
    let hidden = ["nosuid", "noexec", "nodev"];
    let mut all = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": hidden}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "mode=755", "size=65536"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", shm]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]}),
    ];
    if runtime == Runtime::Runsc {
        // The controllers of gVisor's own kernel, by which PID 1 limits processes.
        all.push(
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": hidden}),
        );
    }
    if runtime == Runtime::Runc && spec.network && layout.tun().exists() {
        all.push(
            json!({"destination": tun::PATH, "type": "bind", "source": layout.tun(),
            "options": ["bind", "rw", "nosuid", "noexec"]}),
        );
    }
    if matches!(spec.image, RootImage::Host) {
        all.push(read_only(Path::new("/usr"), "/usr", true));
    }
    let platform = layout.mapped().join("vm0");
    all.push(read_only(&platform, PLATFORM_DIR, false));
    all.push(read_only(&layout.agent(), AGENT_PATH, false));
    let (tmp, var_tmp) = (layout.mapped().join("tmp"), layout.mapped().join("var-tmp"));
    all.push(writable(&tmp, "/tmp"));
    all.push(writable(&var_tmp, "/var/tmp"));
    let home_is_hidden = mounts.iter().any(|mount| contains_home(mount.target));
    let (below, above): (Vec<_>, Vec<_>) = mounts
        .iter()
        .partition(|mount| mount.target.starts_with("/home/user/"));
    all.extend(
        above
            .iter()
            .map(|mount| writable(mount.source, mount.target)),
    );
    if home_is_hidden {
        all.push(writable(&layout.mapped().join("home"), HOME));
    }
    all.extend(
        below
            .iter()
            .map(|mount| writable(mount.source, mount.target)),
    );
    all
}

/// Whether a mount at `target` hides the home directory.
pub(crate) fn contains_home(target: &str) -> bool {
    HOME.strip_prefix(target)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn read_only(source: &Path, target: &str, recursive: bool) -> Value {
    let bind = if recursive { "rbind" } else { "bind" };
    json!({"destination": target, "type": "bind", "source": source,
        "options": [bind, "ro", "nosuid", "nodev"]})
}

fn writable(source: &Path, target: &str) -> Value {
    json!({"destination": target, "type": "bind", "source": source,
        "options": ["bind", "rw", "nosuid", "nodev"]})
}
