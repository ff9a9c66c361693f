//! Keeping the memory of a service to itself.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// From here on this process leaves no core dump, and no other one of its user can trace it or
/// read its memory: it holds the values of secrets. Programs that it starts are not affected.
pub(crate) fn forbid_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a core dump of this process would hold secrets");
    }
}
