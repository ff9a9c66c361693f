//! What the host tells the guest agent on its command line, and the places both agree on.

use serde::{Deserialize, Serialize};

/// The uid of everything that is executed inside.
pub const UID: u32 = 1000;
/// The gid of everything that is executed inside.
pub const GID: u32 = 1000;
/// The home directory of [`UID`].
pub const HOME: &str = "/home/user";
/// Where the host's files appear, read-only.
pub const PLATFORM_DIR: &str = "/vm0";
/// A bundle of the image's certificate authorities and the run's own, below [`PLATFORM_DIR`].
pub const AUTHORITIES_NAME: &str = "authorities.pem";
/// The guest agent's own executable.
pub const AGENT_PATH: &str = "/vm0/agent";
/// The port on 127.0.0.1 inside on which the guest agent accepts proxy connections.
pub const PROXY_PORT: u16 = 3128;
/// The proxy as a URL, for the environment of programs.
pub const PROXY_URL: &str = "http://127.0.0.1:3128";
/// Connections to the proxy and through the interface together at one time; further ones wait to
/// be accepted.
pub const MAX_FORWARDS: usize = 256;

/// Argument of `agent init`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestConfig {
    /// Whether to accept proxy connections.
    pub proxy: bool,
    /// Whether programs that know no proxy get an interface and a resolver.
    pub transparent: bool,
    /// Processes and threads of [`UID`], enforced by the guest's own `pids` controller; `None`
    /// where the host enforces the limit exactly.
    pub pids: Option<u32>,
    /// Whether PID 1 refuses itself and all it starts what the runtime does not filter: namespaces,
    /// mounts, keys, and extended attributes, which some kernels of a sandbox answer wrongly.
    pub filter: bool,
}
