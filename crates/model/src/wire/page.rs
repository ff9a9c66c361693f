//! The list answer of API 1.6.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub data: Vec<T>,
    /// Where the list goes on.
    pub pagination: Pagination,
}

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pagination {
    /// Whether at least one more item follows.
    pub has_more: bool,
    /// The `cursor` of the next page, if there is one.
    pub next_cursor: Option<String>,
}
