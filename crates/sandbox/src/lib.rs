//! Sandboxes: one contract, and the backends that keep it.
//!
//! - [`contract`]: what a backend promises.
//! - `oci`: sandboxes by `runsc` (gVisor) and `runc`, one code path.
//! - `fake`: in process, without isolation, for tests.
//! - [`image`]: root file systems, imported or built, stored once.
//!
//! *Invariant:* knows nothing of runs, the HTTP API or SQL. The only crate that names runtimes,
//! mounts, namespaces and cgroups.

pub mod contract;
pub mod ids;
pub mod image;

mod agent;
mod channel;
mod detect;
mod error;
mod fake;
mod heap;
mod oci;

pub use contract::{
    Backend, ByteStream, Duplex, ExecSpec, Exit, FileLimits, GuestFile, MountSpec, Probe, Process,
    ProcessControl, Resources, RootImage, Sandbox, SandboxSpec, Stats, Stdin, Stopped,
    TerminalSize, Transparent,
};
pub use detect::{Kind, UnknownKind, detect, open};
pub use error::SandboxError;
pub use fake::FakeBackend;
pub use heap::give_back_large_buffers;
pub use oci::{OciBackend, Runtime};
pub use vm0_guest::{
    AGENT_PATH, AUTHORITIES_NAME, GID, HOME, PLATFORM_DIR, PROXY_PORT, PROXY_URL, UID,
};
