//! Places in lists, and how a thing is named.

use vm0_model::Timestamp;

/// Position in a list ordered by creation time and then id, both descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// `created_at` of the last item shown.
    pub created_at: Timestamp,
    /// Id of the last item shown, as text; its name, of items that have no id.
    pub id: String,
}

/// A page to read: `limit + 1` items are returned if there are so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// Items wanted.
    pub limit: u32,
    /// The position after which the page begins.
    pub after: Option<ListPosition>,
}

/// How a resource is named by a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<Id> {
    /// By id.
    Id(Id),
    /// By name.
    Name(String),
}
