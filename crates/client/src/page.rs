//! Lists in pages (API 1.6).

use vm0_model::limits::PAGE_MAX;
use vm0_model::wire::page::Page;

use crate::error::ClientError;
use crate::http::Call;

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// Items of the page, 1–100; the server's default if absent.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn on(&self, call: Call) -> Call {
        call.query("limit", self.limit)
            .query("cursor", self.cursor.as_deref())
    }
}

/// The first `limit` items of a list, or all of them, page by page.
///
/// # Errors
/// The first error of `next_page`.
pub async fn collect_pages<T>(
    limit: Option<usize>,
    mut next_page: impl AsyncFnMut(PageQuery) -> Result<Page<T>, ClientError>,
) -> Result<Vec<T>, ClientError> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let missing = limit.map_or(usize::MAX, |limit| limit.saturating_sub(items.len()));
        if missing == 0 {
            return Ok(items);
        }
        let size = u32::try_from(missing).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let page = next_page(PageQuery {
            limit: Some(size),
            cursor: cursor.take(),
        })
        .await?;
        items.extend(page.data.into_iter().take(missing));
        match page.pagination.next_cursor {
            Some(next) if page.pagination.has_more => cursor = Some(next),
            _ => return Ok(items),
        }
    }
}
