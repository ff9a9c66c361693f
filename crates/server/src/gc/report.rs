//! What a collection did.

use serde::Serialize;

/// What a collection removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GcReport {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// What was removed, each kind once, only kinds of which there was something.
    pub items: Vec<GcItem>,
    /// Bytes of all items.
    pub bytes: u64,
    /// Objects without a reference that are kept until the grace period is over.
    #[serde(skip)]
    pub waiting: u64,
    /// Whether commits left no moment to remove all that can be removed.
    #[serde(skip)]
    pub unfinished: bool,
}

/// What was removed of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GcItem {
    /// What it is, in the singular.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl GcReport {
    pub(super) fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            ..Self::default()
        }
    }

    /// What was removed, in words; none if nothing was.
    pub(crate) fn summary(&self) -> Option<String> {
        if self.dry_run || self.items.is_empty() {
            return None;
        }
        let item = |item: &GcItem| format!("{} x{}", item.kind, item.count);
        let items: Vec<_> = self.items.iter().map(item).collect();
        Some(format!("{}, {} bytes", items.join(", "), self.bytes))
    }

    /// Counts some of a kind more.
    pub fn add(&mut self, kind: &'static str, count: u64, bytes: u64) {
        if count == 0 {
            return;
        }
        self.bytes += bytes;
        match self.items.iter_mut().find(|item| item.kind == kind) {
            Some(item) => {
                item.count += count;
                item.bytes += bytes;
            }
            None => self.items.push(GcItem { kind, count, bytes }),
        }
    }
}
