//! Makes sandboxes by an OCI runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;

use super::cgroup::CgroupLayout;
use super::handover::Handover;
use super::idmap::IdMaps;
use super::layout::Layout;
use super::moves::Moves;
use super::prepare::prepare;
use super::process;
use super::running::{OciSandbox, disk_used};
use super::runtime::Runtime;
use super::scratch::ScratchDisks;
use super::skeleton::Skeleton;
use super::stopped::{OciStopped, blocking};
use crate::channel::Guest;
use crate::contract::{
    Backend, ExecSpec, Probe, Resources, RootImage, Sandbox, SandboxSpec, Stdin, Stopped,
};
use crate::error::SandboxError;

const HELLO_TIMEOUT: Duration = Duration::from_secs(60);
const OPEN_FILES: u64 = 65_536;
const MIN_OPEN_FILES: u64 = 1024;
const MAX_ID: usize = 64;
const RUN_DIR: &str = "/run/vm0";

/// Sandboxes by one OCI runtime.
#[derive(Debug)]
pub struct OciBackend {
    prepared: Arc<Prepared>,
    program: PathBuf,
}

/// What is made once and used by every sandbox.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) runtime: Runtime,
    pub(crate) skeleton: Skeleton,
    pub(crate) agent: PathBuf,
    pub(crate) scratch: Arc<ScratchDisks>,
    /// None where the kernel cannot map ids, so that all sandboxes share those of the disk.
    pub(crate) id_maps: Option<IdMaps>,
    /// Removed with the backend.
    shared: PathBuf,
}

impl OciBackend {
    /// Prepares a backend; what its sandboxes share is made anew below `state_dir`, which belongs
    /// to this process alone.
    ///
    /// # Errors
    /// If the runtime is not installed, or `state_dir` cannot be written.
    pub fn new(runtime: Runtime, state_dir: &Path) -> Result<Self, SandboxError> {
        let unavailable = |reason: &str| SandboxError::Unavailable {
            kind: runtime.kind(),
            reason: reason.to_owned(),
            fix: runtime.fix(),
        };
        let program = runtime
            .find()
            .ok_or_else(|| unavailable("its program is not installed"))?;
        if !rustix::process::geteuid().is_root() {
            return Err(SandboxError::Unavailable {
                kind: runtime.kind(),
                reason: "this process is not root".to_owned(),
                fix: "start it as root",
            });
        }
        let shared = state_dir.join(format!("{}-{}", runtime.kind(), uuid_like()));
        remove_stale(state_dir, runtime.kind());
        super::mount::remove_tree(&shared)?;
        let templates = state_dir.join("templates");
        for directory in [&shared, &templates] {
            fs::create_dir_all(directory).map_err(SandboxError::io("make", directory))?;
        }
        let skeleton = Skeleton::build(&shared)?;
        let prepared = Prepared {
            runtime,
            id_maps: id_maps(&skeleton, &shared),
            skeleton,
            agent: crate::agent::extract(state_dir)?,
            scratch: Arc::new(ScratchDisks::new(templates, shared.clone())),
            shared,
        };
        Ok(Self {
            prepared: Arc::new(prepared),
            program,
        })
    }

    async fn start(&self, layout: &Layout, spec: SandboxSpec) -> Result<OciSandbox, SandboxError> {
        let (prepared, prepared_layout) = (self.prepared.clone(), layout.clone());
        let (program, disk_bytes) = (self.program.clone(), spec.resources.disk_bytes);
        let runtime = self.prepared.runtime;
        let moves = Moves::begin();
        let (cgroup, disk_at_start, mut child, handover) = blocking(move || {
            let layout = prepared_layout;
            let _lock = layout.lock()?;
            let mut handover = Handover::begin(runtime, &layout)
                .map_err(SandboxError::io("write", layout.config()))?;
            let early = match runtime {
                Runtime::Runc => Some(runtime.spawn(&program, &layout)?),
                Runtime::Runsc => None,
            };
            let cgroup = prepare(&prepared, &layout, &spec, &mut handover)?;
            let disk_at_start = disk_used(&layout)?;
            let child = match early {
                Some(child) => child,
                None => runtime.spawn(&program, &layout)?,
            };
            Ok((cgroup, disk_at_start, child, handover))
        })
        .await?;
        let reader = child.stdout.take().expect("asked for a pipe");
        let writer = child.stdin.take().expect("asked for a pipe");
        let counted = cgroup.clone();
        let hello = Guest::connect(reader, writer, Arc::new(move || counted.oom_kills()));
        let guest = match tokio::time::timeout(HELLO_TIMEOUT, hello).await {
            Ok(Ok(guest)) => guest,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the guest agent does not answer");
                let _ = child.wait().await;
                return Err(runtime.failure(layout));
            }
            Err(_) => {
                let seconds = HELLO_TIMEOUT.as_secs();
                return Err(SandboxError::TimedOut {
                    action: "start the guest agent",
                    seconds,
                });
            }
        };
        drop((handover, moves));
        ScratchDisks::fill(&self.prepared.scratch, disk_bytes);
        Ok(OciSandbox {
            layout: layout.clone(),
            _prepared: self.prepared.clone(),
            guest,
            runtime: child,
            cgroup,
            disk_at_start,
        })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.shared);
    }
}

/// The maps of ids, if this kernel can map them.
fn id_maps(skeleton: &Skeleton, shared: &Path) -> Option<IdMaps> {
    let maps = IdMaps::default();
    let place = shared.join("map-check");
    let checked = maps
        .get(0)
        .and_then(|map| map.check(&skeleton.common, &skeleton.host, &place));
    match checked {
        Ok(()) => Some(maps),
        Err(error) => {
            tracing::debug!(%error, "ids cannot be mapped");
            None
        }
    }
}

/// Removes what processes that have ended shared among their sandboxes.
fn remove_stale(state_dir: &Path, kind: &str) {
    for entry in fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(kind)?.strip_prefix('-'));
        let pid = number.and_then(|text| text.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[async_trait]
impl Backend for OciBackend {
    fn kind(&self) -> &'static str {
        self.prepared.runtime.kind()
    }

    async fn probe(&self) -> Result<Probe, SandboxError> {
        let runtime = self.prepared.runtime;
        let unavailable = |reason: String| SandboxError::Unavailable {
            kind: runtime.kind(),
            reason,
            fix: runtime.fix(),
        };
        let version = version(&self.program)
            .await
            .map_err(SandboxError::io("run", &self.program))?;
        let dir = std::env::temp_dir().join(format!("vm0-probe-{}", uuid_like()));
        let made = self.create(probe_spec(&dir)).await;
        let sandbox = made.map_err(|error| unavailable(error.to_string()))?;
        let ran = run_true(&*sandbox).await;
        let transparent = sandbox.transparent().clone();
        sandbox.stop().await?.remove().await?;
        match ran? {
            0 => {}
            code => {
                return Err(unavailable(format!(
                    "a program inside ended with code {code}"
                )));
            }
        }
        let missing = CgroupLayout::detect().missing();
        let mut missing: Vec<String> = missing
            .iter()
            .map(|limit| format!("the {limit} limit is not enforced: no such cgroup controller"))
            .collect();
        if self.prepared.id_maps.is_none() {
            missing.push(
                "sandboxes share one range of user ids: Linux 5.19 or later, and a file system \
                 with idmapped mounts for the data directory, give each its own"
                    .to_owned(),
            );
        }
        Ok(Probe {
            version,
            missing,
            transparent,
        })
    }

    async fn create(&self, spec: SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        check(&spec)?;
        let layout = Layout {
            id: spec.id.clone(),
            dir: spec.dir.clone(),
            run: Path::new(RUN_DIR).join(&spec.id),
            targets: spec
                .mounts
                .iter()
                .map(|mount| mount.target.clone())
                .collect(),
        };
        let begun = layout.clone();
        blocking(move || begin(&begun)).await?;
        match self.start(&layout, spec).await {
            Ok(sandbox) => Ok(Box::new(sandbox)),
            Err(error) => {
                let recovered = blocking(move || OciStopped::recover(layout)).await;
                if let Ok(stopped) = recovered {
                    Box::new(stopped).remove().await?;
                }
                Err(error)
            }
        }
    }

    async fn sweep(&self, dir: &Path) -> Result<Option<Box<dyn Stopped>>, SandboxError> {
        let dir = dir.to_owned();
        blocking(move || {
            let Some(layout) = Layout::find(&dir)? else {
                return Ok(None);
            };
            let _lock = layout.lock()?;
            let stopped: Box<dyn Stopped> = Box::new(OciStopped::recover(layout)?);
            Ok(Some(stopped))
        })
        .await
    }
}

/// Makes the two directories and the record; what an unknown predecessor of the same name has left
/// is ended first.
fn begin(layout: &Layout) -> Result<(), SandboxError> {
    fs::create_dir_all(&layout.dir).map_err(SandboxError::io("make", &layout.dir))?;
    let mut entries = fs::read_dir(&layout.dir).map_err(SandboxError::io("read", &layout.dir))?;
    if entries.next().is_some() {
        return Err(SandboxError::Spec {
            field: "directory",
            reason: "it is not empty",
        });
    }
    layout.record()?;
    if layout.run.exists() {
        process::end_runtimes(layout);
        process::end_contained(layout)?;
        super::mount::unmount_below(&layout.run)?;
        super::mount::remove_tree(&layout.run)?;
    }
    fs::create_dir_all(&layout.run).map_err(SandboxError::io("make", &layout.run))
}

/// Whether a specification keeps the contract.
pub(crate) fn check(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let named = !spec.id.is_empty()
        && spec.id.len() <= MAX_ID
        && spec
            .id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !named {
        let reason = "it must be 1-64 of a-z, 0-9 and -";
        return Err(SandboxError::Spec {
            field: "id",
            reason,
        });
    }
    if !spec.dir.is_absolute() {
        return Err(SandboxError::Spec {
            field: "directory",
            reason: "it is not absolute",
        });
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        let relative = mount.target.strip_prefix('/').unwrap_or_default();
        if !vm0_guest::files::is_normal_path(relative) {
            let reason = "it is not an absolute path in normal form";
            return Err(SandboxError::Spec {
                field: "mount target",
                reason,
            });
        }
        if spec.mounts[..index]
            .iter()
            .any(|other| other.target == mount.target)
        {
            return Err(SandboxError::Spec {
                field: "mount target",
                reason: "it is there twice",
            });
        }
    }
    Ok(())
}

/// How many files a program inside may have open: a runtime cannot give more than we may have.
pub(crate) fn open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return MIN_OPEN_FILES;
    };
    if hard >= OPEN_FILES || setrlimit(Resource::RLIMIT_NOFILE, soft, OPEN_FILES).is_ok() {
        return OPEN_FILES;
    }
    hard
}

async fn version(program: &Path) -> std::io::Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn uuid_like() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!(
        "{}-{}",
        std::process::id(),
        now.unwrap_or_default().as_nanos()
    )
}

fn probe_spec(dir: &Path) -> SandboxSpec {
    SandboxSpec {
        id: format!("probe-{}", uuid_like()),
        dir: dir.to_owned(),
        image: RootImage::Host,
        mounts: Vec::new(),
        resources: Resources {
            cpu_millis: 1000,
            memory_bytes: 256 << 20,
            disk_bytes: 64 << 20,
            pids: 64,
        },
        network: true,
        authority: None,
    }
}

async fn run_true(sandbox: &dyn Sandbox) -> Result<i32, SandboxError> {
    let spec = ExecSpec {
        argv: vec!["/bin/true".to_owned()],
        env: Default::default(),
        cwd: "/".to_owned(),
        stdin: Stdin::Null,
        terminal: None,
    };
    Ok(sandbox.exec(spec).await?.control.wait().await?.code)
}
