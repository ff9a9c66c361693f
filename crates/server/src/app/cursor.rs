//! Cursors: positions in lists, opaque to clients.
//!
//! A cursor is the base64url form of `<list>|<position>`; the name of the list keeps a cursor of
//! one list from being taken for that of another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vm0_model::wire::page::{Page, Pagination};
use vm0_model::{ApiError, Timestamp};
use vm0_store::record::{ListPage, ListPosition};

/// Which page of a list a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// Items wanted, 1–100.
    pub(crate) limit: u32,
    /// As given; never empty.
    pub(crate) cursor: Option<String>,
}

fn invalid() -> ApiError {
    ApiError::invalid("cursor", "Invalid cursor")
}

/// The cursor of a position in a list.
pub(crate) fn encode(list: &str, position: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}|{position}"))
}

/// The position in a list that a cursor of this list stands for.
pub(crate) fn decode(list: &str, cursor: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    let position = text
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix('|'));
    position.map(str::to_owned).ok_or_else(invalid)
}

/// The number that a cursor of this list stands for.
pub(crate) fn decode_number(list: &str, cursor: &str) -> Result<u64, ApiError> {
    decode(list, cursor)?.parse().map_err(|_| invalid())
}

/// The page of a list in creation order.
pub(crate) fn list_page(list: &str, page: &PageRequest) -> Result<ListPage, ApiError> {
    let after = match &page.cursor {
        None => None,
        Some(cursor) => {
            let position = decode(list, cursor)?;
            let (micros, id) = position.split_once('|').ok_or_else(invalid)?;
            let micros = micros.parse().map_err(|_| invalid())?;
            Some(ListPosition {
                created_at: Timestamp::from_micros(micros),
                id: id.to_owned(),
            })
        }
    };
    Ok(ListPage {
        limit: page.limit,
        after,
    })
}

/// The cursor after an item of a list in creation order.
pub(crate) fn list_position(
    list: &str,
    created_at: Timestamp,
    id: impl std::fmt::Display,
) -> String {
    encode(list, &format!("{}|{id}", created_at.micros()))
}

/// The answer for `items`, of which there are more than `limit` if the list goes on.
pub(crate) fn page_of<R, T>(
    limit: u32,
    mut items: Vec<R>,
    position: impl FnOnce(&R) -> String,
    convert: impl FnMut(R) -> T,
) -> Page<T> {
    let limit = limit as usize;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = if has_more {
        items.last().map(position)
    } else {
        None
    };
    let data = items.into_iter().map(convert).collect();
    Page {
        data,
        pagination: Pagination {
            has_more,
            next_cursor,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position_in_its_list_only() {
        let time = Timestamp::from_millis(1_700_000_000_123);
        let cursor = list_position("runs", time, "019bc134-7840-7cba-a551-2100f80b56fc");
        let page = PageRequest {
            limit: 7,
            cursor: Some(cursor),
        };
        let after = list_page("runs", &page).unwrap().after.unwrap();
        assert_eq!(after.created_at, time);
        assert_eq!(after.id, "019bc134-7840-7cba-a551-2100f80b56fc");
        assert!(list_page("agents", &page).is_err());
    }

    #[test]
    fn what_was_never_issued_is_refused() {
        for cursor in ["abc123", "%", "cnVuc3w", "cnVuc3x8", "cnVuc3xhfGI", "é"] {
            let page = PageRequest {
                limit: 20,
                cursor: Some(cursor.to_owned()),
            };
            let error = list_page("runs", &page).unwrap_err();
            assert_eq!(error.message, "Invalid cursor", "{cursor}");
            assert_eq!(error.param.as_deref(), Some("cursor"));
        }
    }

    #[test]
    fn a_page_says_whether_more_follows() {
        let page = page_of(2, vec![1, 2, 3], |last| format!("after {last}"), |n| n * 10);
        assert_eq!(page.data, [10, 20]);
        assert_eq!(page.pagination.next_cursor.as_deref(), Some("after 2"));
        let page = page_of(3, vec![1, 2, 3], |last| format!("after {last}"), |n| n);
        assert!(!page.pagination.has_more);
        assert_eq!(page.pagination.next_cursor, None);
    }
}
