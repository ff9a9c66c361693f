//! What a check found.

use serde::Serialize;
use vm0_blob::ObjectId;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FsckReport {
    /// Whether everything that rows name is there and unchanged.
    pub ok: bool,
    /// Objects that were read.
    pub checked: u64,
    /// What is missing or corrupt, and what nothing refers to.
    pub items: Vec<Finding>,
}

/// An object that is not as it should be, or that nothing refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is the matter.
    pub state: FindingState,
    /// What it is.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// What more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is the matter with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// It is named and not there.
    Missing,
    /// It is named and changed.
    Corrupt,
    /// Nothing refers to it.
    Unreferenced,
}

impl FindingState {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
            Self::Unreferenced => "unreferenced",
        }
    }

    /// Whether it is a fault.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Unreferenced)
    }
}

impl FsckReport {
    pub(super) fn add(&mut self, state: FindingState, id: ObjectId, detail: Option<String>) {
        self.items.push(Finding {
            state,
            kind: id.kind().name(),
            id: id.to_string(),
            detail,
        });
    }
}
