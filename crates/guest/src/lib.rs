//! The channel between the host and the agent inside a sandbox: frames, stream headers, versions
//! and size limits.
//!
//! ```text
//!   PID 1's stdin/stdout ──► one hello frame from the guest, then yamux
//!     host → guest   Exec (control stream of a process), Attach (its input or output), KillAll
//!     guest → host   Forward (raw bytes of a connection to the proxy, or SOCKS5 said for one that
//!                    knows no proxy)
//! ```
//!
//! *Invariant:* knows nothing of runs, HTTP or storage. Whatever the guest sends is hostile:
//! every read has a limit, no input makes a parser panic.

pub mod config;
pub mod dns;
pub mod files;
pub mod frame;
pub mod header;
pub mod mux;

pub use config::{
    AGENT_PATH, AUTHORITIES_NAME, GID, GuestConfig, HOME, PLATFORM_DIR, PROXY_PORT, PROXY_URL, UID,
};
pub use frame::{FrameError, PROTOCOL_VERSION};
pub use header::{
    Channel, ExecHeader, GuestHeader, Hello, HostHeader, Input, Notice, Request, TerminalSize,
    Transparent,
};
pub use mux::{Incoming, Mux, MuxStream, STREAM_WINDOW, Side};
