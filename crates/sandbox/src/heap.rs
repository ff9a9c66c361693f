//! How this process gives memory back.

/// The smallest allocation that gets pages of its own, in bytes: smaller than the chunks of files
/// that are on their way, larger than nearly everything else.
const OWN_PAGES_BYTES: libc::c_int = 1 << 20;

/// Gives the memory of large buffers back to the system as soon as they are freed.
///
/// Without this glibc raises its own threshold with the first large buffer that is freed, and from
/// then on keeps them in its heaps, one for each thread: a server that moved a few gigabytes stayed
/// at 88 MiB instead of 38 (`vm0 bench transfer`). To be called before the first of them.
#[expect(unsafe_code, reason = "nothing safe sets what the allocator does")]
pub fn give_back_large_buffers() {
    // SAFETY: it takes two integers and touches nothing but the allocator's own settings. A refusal
    // (0) leaves these as they are.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES) };
}
