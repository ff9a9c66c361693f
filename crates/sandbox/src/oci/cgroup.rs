//! Control groups of either version: where they are, limits, use, and killing all in one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::contract::{Resources, Stats};

/// Where control groups are mounted.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";
const PARENT: &str = "vm0";
const PERIOD_MICROS: u64 = 100_000;
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// How control groups are mounted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupLayout {
    /// One hierarchy.
    V2,
    /// A hierarchy for each controller.
    V1,
    /// None that can be used.
    Absent,
}

/// The control groups of one sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    layout: CgroupLayout,
    id: String,
}

impl CgroupLayout {
    /// Looks at the host.
    pub(crate) fn detect() -> Self {
        let root = Path::new(ROOT);
        if root.join("cgroup.controllers").exists() {
            Self::V2
        } else if root.join("memory").exists() || root.join("pids").exists() {
            Self::V1
        } else {
            Self::Absent
        }
    }

    /// Which limits cannot be enforced here.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let root = Path::new(ROOT);
        let present: String = match self {
            Self::V2 => fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default(),
            Self::V1 => CONTROLLERS
                .into_iter()
                .filter(|name| root.join(name).join("cgroup.procs").exists())
                .collect::<Vec<_>>()
                .join(" "),
            Self::Absent => String::new(),
        };
        let present: BTreeSet<&str> = present.split_whitespace().collect();
        ["memory", "cpu", "pids"]
            .into_iter()
            .filter(|name| !present.contains(name))
            .collect()
    }
}

impl Cgroup {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            layout: CgroupLayout::detect(),
            id: id.to_owned(),
        }
    }

    /// The path for the runtime.
    pub(crate) fn oci_path(&self) -> String {
        format!("/{PARENT}/{}", self.id)
    }

    /// Makes the groups with their limits. A runtime that finds them leaves them as they are, so
    /// they can still be read after the sandbox has died.
    pub(crate) fn create(&self, limits: &Resources) -> io::Result<()> {
        let quota = u64::from(limits.cpu_millis) * PERIOD_MICROS / 1000;
        match self.layout {
            CgroupLayout::Absent => Ok(()),
            CgroupLayout::V1 => {
                for controller in CONTROLLERS {
                    fs::create_dir_all(self.path(controller))?;
                }
                let (memory, cpu) = (self.path("memory"), self.path("cpu"));
                fs::write(
                    memory.join("memory.limit_in_bytes"),
                    limits.memory_bytes.to_string(),
                )?;
                fs::write(cpu.join("cpu.cfs_period_us"), PERIOD_MICROS.to_string())?;
                fs::write(cpu.join("cpu.cfs_quota_us"), quota.to_string())?;
                fs::write(self.path("pids").join("pids.max"), limits.pids.to_string())
            }
            CgroupLayout::V2 => {
                let path = self.path("");
                fs::create_dir_all(&path)?;
                for parent in [Path::new(ROOT), &Path::new(ROOT).join(PARENT)] {
                    fs::write(parent.join("cgroup.subtree_control"), "+memory +cpu +pids")?;
                }
                fs::write(path.join("memory.max"), limits.memory_bytes.to_string())?;
                let _ = fs::write(path.join("memory.swap.max"), "0");
                fs::write(path.join("cpu.max"), format!("{quota} {PERIOD_MICROS}"))?;
                fs::write(path.join("pids.max"), limits.pids.to_string())
            }
        }
    }

    fn path(&self, controller: &str) -> PathBuf {
        let root = match self.layout {
            CgroupLayout::V1 => Path::new(ROOT).join(controller),
            CgroupLayout::V2 | CgroupLayout::Absent => PathBuf::from(ROOT),
        };
        root.join(PARENT).join(&self.id)
    }

    /// Every directory of the sandbox, in whatever hierarchy.
    fn paths(&self) -> Vec<PathBuf> {
        match self.layout {
            CgroupLayout::Absent => Vec::new(),
            CgroupLayout::V2 => vec![self.path("")],
            CgroupLayout::V1 => {
                let hierarchies = fs::read_dir(ROOT).into_iter().flatten().flatten();
                hierarchies
                    .map(|entry| entry.path().join(PARENT).join(&self.id))
                    .filter(|path| path.exists())
                    .collect()
            }
        }
    }

    /// How often the memory limit has killed something.
    pub(crate) fn oom_kills(&self) -> u64 {
        let path = self.path("memory");
        match self.layout {
            CgroupLayout::V2 => value_of(&path.join("memory.events"), "oom_kill"),
            _ => value_of(&path.join("memory.oom_control"), "oom_kill"),
        }
    }

    /// What is in use; the disk is not known here.
    pub(crate) fn stats(&self) -> Stats {
        match self.layout {
            CgroupLayout::Absent => Stats::default(),
            CgroupLayout::V2 => {
                let path = self.path("");
                let reclaimable = value_of(&path.join("memory.stat"), "inactive_file");
                Stats {
                    cpu_micros: value_of(&path.join("cpu.stat"), "usage_usec"),
                    memory_bytes: number(&path.join("memory.current")).saturating_sub(reclaimable),
                    disk_bytes: 0,
                    pids: u32::try_from(number(&path.join("pids.current"))).unwrap_or(u32::MAX),
                }
            }
            CgroupLayout::V1 => {
                let memory = self.path("memory");
                let reclaimable = value_of(&memory.join("memory.stat"), "total_inactive_file");
                let used = number(&memory.join("memory.usage_in_bytes"));
                let pids = number(&self.path("pids").join("pids.current"));
                Stats {
                    cpu_micros: number(&self.path("cpuacct").join("cpuacct.usage")) / 1000,
                    memory_bytes: used.saturating_sub(reclaimable),
                    disk_bytes: 0,
                    pids: u32::try_from(pids).unwrap_or(u32::MAX),
                }
            }
        }
    }

    /// Kills everything in the groups and waits until nothing is in them.
    pub(crate) fn kill(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let members = self.members();
            if members.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for path in self.paths() {
                let _ = fs::write(path.join("cgroup.kill"), "1");
                let _ = fs::write(path.join("freezer.state"), "THAWED");
            }
            for pid in members {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn members(&self) -> BTreeSet<i32> {
        let mut members = BTreeSet::new();
        for path in self.paths() {
            collect_members(&path, &mut members);
        }
        members
    }

    /// Removes the groups; nothing may be in them.
    pub(crate) fn remove(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        for path in self.paths() {
            while let Err(error) = remove_group(&path) {
                if Instant::now() > deadline {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

fn collect_members(path: &Path, members: &mut BTreeSet<i32>) {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    members.extend(
        text.lines()
            .filter_map(|line| line.parse::<i32>().ok())
            .filter(|pid| *pid > 0),
    );
    for child in children(path) {
        collect_members(&child, members);
    }
}

fn remove_group(path: &Path) -> io::Result<()> {
    for child in children(path) {
        remove_group(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn number(path: &Path) -> u64 {
    fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

/// The number beside a key in a file of lines `KEY NUMBER`.
fn value_of(path: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or_default()
}
