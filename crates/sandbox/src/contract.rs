//! What a sandbox backend promises. `oci/` (runsc, runc) and `fake/` pass one contract suite.
//!
//! Life of a sandbox, and who may call what:
//!
//! ```text
//!   Backend::create ──► Sandbox ── exec, put_files, get_files, accept, stats … ──► stop ──► Stopped
//!                          │                                                                  │
//!                          └── dropped without stop: killed, found by the next `sweep`        ├─ layer(target): what was written
//!                                                                                             └─ remove(): nothing is left
//! ```
//!
//! A sandbox serves one run and is then removed. Everything that comes out of it is hostile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::SandboxError;

pub use vm0_guest::{TerminalSize, Transparent};

/// A byte stream out of a sandbox: hostile, flow-controlled.
pub type ByteStream = Pin<Box<dyn Duplex>>;

/// A duplex byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Makes sandboxes of one kind.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The kind on the wire: `gvisor`, `runc`, `crun` or `fake`.
    fn kind(&self) -> &'static str;

    /// Starts and removes a minimal sandbox and reports what this host can and cannot enforce.
    ///
    /// # Errors
    /// The reason why sandboxes of this kind do not work here, with what fixes it.
    async fn probe(&self) -> Result<Probe, SandboxError>;

    /// Makes a sandbox and waits until its guest agent answers.
    ///
    /// Before: `spec.dir` does not exist or is empty; images and mount sources stay unchanged
    /// until `remove`. After: the guest is ready for `exec`. Cancellation or an error leaves
    /// nothing that `sweep` of `spec.dir` does not remove.
    async fn create(&self, spec: SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError>;

    /// Finds what an earlier process left of the sandbox in `dir` (processes, cgroups, mounts),
    /// ends it and gives access to what the sandbox wrote. `None`: there never was a sandbox.
    ///
    /// Idempotent; works after a `kill -9` of the earlier process at any moment of `create`,
    /// `stop` or `remove`.
    async fn sweep(&self, dir: &Path) -> Result<Option<Box<dyn Stopped>>, SandboxError>;
}

/// What a host offers for one kind of sandbox.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Version text of the runtime.
    pub version: String,
    /// Limits of [`Resources`] and protections that cannot be enforced here, as sentences.
    pub missing: Vec<String>,
    /// Whether a sandbox with a network serves programs that know no proxy.
    pub transparent: Transparent,
}

/// Everything a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// Name on the host: 1–64 of `[a-z0-9-]`, unique among living sandboxes.
    pub id: String,
    /// State directory on the host, owned by the sandbox; everything it leaves is below it.
    pub dir: PathBuf,
    /// The root file system.
    pub image: RootImage,
    /// Directories that appear inside, each writable, each keeping what is written apart.
    pub mounts: Vec<MountSpec>,
    /// What it may use.
    pub resources: Resources,
    /// Whether the guest offers the proxy on 127.0.0.1 and, where it can, an interface and a resolver
    /// for programs that know no proxy.
    pub network: bool,
    /// A certificate in PEM of an authority that the programs inside trust beside those of the
    /// image: by the image's own bundle, and by [`AUTHORITIES_NAME`](crate::AUTHORITIES_NAME)
    /// below [`PLATFORM_DIR`](crate::PLATFORM_DIR).
    pub authority: Option<String>,
}

/// A root file system, shared read-only.
#[derive(Debug, Clone)]
pub enum RootImage {
    /// The host's own `/usr` and friends with a made-up `/etc`.
    Host,
    /// Unpacked layers, lowest first, owned by the shifted ids of [`crate::ids`].
    Layers(Vec<PathBuf>),
}

/// A directory that appears inside the sandbox, owned by uid 1000 there.
#[derive(Debug, Clone)]
pub struct MountSpec {
    /// Absolute path inside, in normal form.
    pub target: String,
    /// A read-only tree on the host that is its initial content; `None` starts empty.
    pub lower: Option<PathBuf>,
}

/// What a sandbox may use; every value is enforced or named in [`Probe::missing`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resources {
    /// CPUs, in thousandths.
    pub cpu_millis: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// All writable space together, in bytes; beyond it writes fail with ENOSPC.
    pub disk_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// A running sandbox.
///
/// Methods may be called at the same time. After the guest has died every call fails with
/// [`SandboxError::Gone`].
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Starts a program as uid 1000 without capabilities, in its own process group.
    async fn exec(&self, spec: ExecSpec) -> Result<Process, SandboxError>;

    /// Writes regular files (mode 0644, directories 0755) as uid 1000, relative to `base`.
    async fn put_files(&self, base: &str, files: Vec<GuestFile>) -> Result<(), SandboxError>;

    /// Reads the regular files below `base` that match a pattern, as uid 1000. `*` stands for
    /// anything within one component, `**` as a whole component for any number of them.
    ///
    /// # Errors
    /// `TooLarge` if the files exceed a limit; nothing is returned then.
    async fn get_files(
        &self,
        base: &str,
        patterns: &[String],
        limits: FileLimits,
    ) -> Result<Vec<GuestFile>, SandboxError>;

    /// Writes `/vm0/<name>` (mode 0444), which nobody inside can change.
    async fn put_platform_file(&self, name: &str, bytes: &[u8]) -> Result<(), SandboxError>;

    /// Whether programs that know no proxy have an interface and a resolver.
    fn transparent(&self) -> &Transparent;

    /// The next connection that a program inside made to the guest's proxy: raw bytes in both
    /// directions, as the program sent them; or one that it made without a proxy, for which the
    /// guest speaks SOCKS5. `None` once the guest has died.
    async fn accept(&self) -> Option<ByteStream>;

    /// The present use of resources.
    async fn stats(&self) -> Result<Stats, SandboxError>;

    /// Kills every process of uid 1000 and waits until there is none.
    async fn kill_all(&self) -> Result<(), SandboxError>;

    /// Ends the sandbox at once, whatever runs in it, and gives access to what was written.
    async fn stop(self: Box<Self>) -> Result<Box<dyn Stopped>, SandboxError>;
}

/// A sandbox in which nothing runs any more.
#[async_trait]
pub trait Stopped: Send + Sync {
    /// What was written to the mount at `target`, as an overlay upper directory: new and changed
    /// files, whiteouts (character device 0/0) and opaque directories (`trusted.overlay.opaque`
    /// or `user.overlay.opaque` = `y`). `None` if there is no such mount.
    fn layer(&self, target: &str) -> Option<PathBuf>;

    /// Removes mounts, cgroups and the state directory. Idempotent.
    async fn remove(self: Box<Self>) -> Result<(), SandboxError>;
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    /// Program (looked up in the `PATH` of `env`) and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory.
    pub cwd: String,
    /// What the program reads.
    pub stdin: Stdin,
    /// Its terminal, if it is to have one. Its input is then what is typed there (with
    /// [`Stdin::Pipe`]; the end of the pipe is typed as the end of the input), its output what is
    /// shown there, and its error output is empty.
    pub terminal: Option<TerminalSize>,
}

/// What a program reads from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// [`Process::stdin`].
    Pipe,
    /// A regular file inside the sandbox, by absolute path.
    File(String),
}

/// A started program. Dropping it does not end it.
pub struct Process {
    /// Its input, if asked for; dropping it closes the input.
    pub stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Its output. Not reading it blocks the program, never the host.
    pub stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Its error output.
    pub stderr: Pin<Box<dyn AsyncRead + Send>>,
    /// Signals and the end.
    pub control: Box<dyn ProcessControl>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

/// Signals to a program, and its end.
#[async_trait]
pub trait ProcessControl: Send + Sync {
    /// Sends a signal to the program's process group, on a terminal to the one in its foreground;
    /// nothing happens after its end.
    async fn signal(&self, signal: i32) -> Result<(), SandboxError>;

    /// Gives the program's terminal another size; nothing happens without one, or after its end.
    async fn resize(&self, size: TerminalSize) -> Result<(), SandboxError>;

    /// Waits for the end of the program itself (not of children that keep its output open).
    async fn wait(&self) -> Result<Exit, SandboxError>;
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, 128 + N after signal N, 127 if it was not found, 126 if not executable.
    pub code: i32,
    /// Whether the memory limit killed it or one of its children.
    pub out_of_memory: bool,
}

/// A small file that goes in or comes out through the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// Relative path in normal form.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Bounds of [`Sandbox::get_files`].
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Number of files.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Time for the whole call.
    pub timeout: Duration,
}

/// Resources in use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// CPU time used since the start, in microseconds.
    pub cpu_micros: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Writable space in use, in bytes.
    pub disk_bytes: u64,
    /// Processes and threads, as far as the backend can tell.
    pub pids: u32,
}
