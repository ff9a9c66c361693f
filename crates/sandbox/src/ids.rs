//! How user ids inside map to ids on the host.
//!
//! On the disk, uid and gid 0 inside is `BASE`, whatever the sandbox: an image or version tree is
//! stored once with shifted ids and shared by all. A running sandbox has a range of its own, one of
//! [`RANGES`] above that one, and sees stored files through mounts that map the ids. Where a kernel
//! cannot do that, the processes of all sandboxes have the ids of the disk.
//!
//! No account of the host may have an id from `BASE` to the end of the last range.

/// The stored id of uid and gid 0 inside.
pub const BASE: u32 = 1_000_000;
/// Ids inside.
pub const COUNT: u32 = 65_536;
/// Sandboxes that may run on one host at a time.
pub const RANGES: u32 = 1024;
/// The id of the user inside.
const INSIDE: u32 = 1000;
/// The stored id of uid and gid 1000 inside.
pub const USER: u32 = BASE + INSIDE;

/// The first host id of a range.
#[must_use]
pub const fn first(range: u32) -> u32 {
    BASE + (1 + range) * COUNT
}

/// The host id of the user of a sandbox whose ids begin at `first`.
#[must_use]
pub const fn user(first: u32) -> u32 {
    first + INSIDE
}

/// The stored id of an id inside; ids past the range become the last one (`nobody` is 65534).
#[must_use]
pub const fn shifted(id: u64) -> u32 {
    if id < COUNT as u64 {
        BASE + id as u32
    } else {
        BASE + COUNT - 2
    }
}
