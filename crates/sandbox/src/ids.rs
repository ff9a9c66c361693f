//! How user ids inside map to ids on the host.
//!
//! Every sandbox has the same user namespace, `0..65536` inside onto `BASE..BASE+65536` outside, so
//! an image or version tree is stored once with shifted ids and shared by all. No account of the
//! host has an id in that range.

/// The host id of uid and gid 0 inside.
pub const BASE: u32 = 1_000_000;
/// Ids inside.
pub const COUNT: u32 = 65_536;
/// The host id of uid and gid 1000 inside.
pub const USER: u32 = BASE + 1000;

/// The host id of an id inside; ids past the range become the last one (`nobody` is 65534).
#[must_use]
pub const fn shifted(id: u64) -> u32 {
    if id < COUNT as u64 {
        BASE + id as u32
    } else {
        BASE + COUNT - 2
    }
}
