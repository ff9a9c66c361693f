//! Control groups: the release agent, other groups, own limits.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::runs::{any, writable};
use crate::sys::call;

const ROOT: &str = "/sys/fs/cgroup";

pub(crate) const PROBES: &[Probe] = &[
    Probe::host("cgroup-release-agent", || each("release_agent")),
    Probe::private("cgroup-release-agent-mounted", mounted_release_agent),
    Probe::host("cgroup-notify-on-release", || each("notify_on_release")),
    Probe::host("cgroup-make-group", make_group),
    Probe::host("cgroup-leave", leave),
    Probe::host("cgroup-memory-limit", memory_limit),
];

/// The roots of all hierarchies.
fn groups() -> Vec<PathBuf> {
    let below = fs::read_dir(ROOT).into_iter().flatten().flatten();
    let hierarchies = below.map(|entry| entry.path()).filter(|path| path.is_dir());
    std::iter::once(PathBuf::from(ROOT))
        .chain(hierarchies)
        .collect()
}

fn each(file: &str) -> Attempt {
    any(groups()
        .iter()
        .map(|group| writable(&group.join(file).to_string_lossy())))
}

fn mounted_release_agent() -> Attempt {
    fs::create_dir_all("place")?;
    any(["memory", "cpu", "pids", "rdma"].map(|controller| {
        let options = std::ffi::CString::new(controller).map_err(io::Error::other)?;
        call!(
            libc::SYS_mount,
            c"none",
            c"place",
            c"cgroup",
            0,
            options.as_c_str()
        )?;
        writable("place/release_agent")
    }))
}

/// A directory in which the kernel puts the files of a group; others are only directories.
fn make_group() -> Attempt {
    any(groups().iter().map(|group| {
        let made = group.join(format!("vm0-escape-probe-{}", std::process::id()));
        fs::create_dir(&made)?;
        let is_group = made.join("cgroup.procs").exists();
        fs::remove_dir(&made)?;
        if is_group {
            Ok(format!("made {}", made.display()))
        } else {
            Err(nothing("a directory that is no group"))
        }
    }))
}

fn leave() -> Attempt {
    any(groups().iter().map(|group| {
        let procs = group.join("cgroup.procs");
        let mut file = fs::OpenOptions::new().write(true).open(procs)?;
        file.write_all(b"0")?;
        Ok(format!("now in {}", group.display()))
    }))
}

fn memory_limit() -> Attempt {
    any([
        each("memory.limit_in_bytes"),
        each("memory.max"),
        each("pids.max"),
        each("cpu.cfs_quota_us"),
    ])
}
