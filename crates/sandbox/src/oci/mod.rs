//! Sandboxes by OCI runtimes, `runsc` and `runc`: one code path, the runtime a child process.
//!
//! ```text
//!   backend ─► prepare (layout, scratch disk, overlays, bundle) ─► runtime ─► running ─► stopped
//! ```
//!
//! Everything that a run writes is on one scratch disk, an ext4 image in the sandbox's directory,
//! so one number bounds it all. Its files and those of the layers are stored with common ids; what a
//! sandbox is given are mounts of them with the ids of its own range. Mount points are below the run directory (`/run/vm0/ID`), because
//! the root inside must be able to reach them whatever the mode of the data directory is.

mod authority;
mod backend;
mod bundle;
mod cgroup;
mod handover;
mod idmap;
mod layout;
mod loop_device;
mod mount;
mod moves;
mod prepare;
mod process;
mod ranges;
mod running;
mod runtime;
mod scratch;
mod seccomp;
mod skeleton;
mod stopped;
mod tun;

pub use backend::OciBackend;
pub(crate) use backend::check;
pub use runtime::Runtime;
