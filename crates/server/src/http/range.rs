//! The header `Range`: one range of bytes.

use std::ops::Range;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// A range of bytes as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// From the first to the last, or to the end.
    From(u64, Option<u64>),
    /// The last ones.
    Last(u64),
}

impl ByteRange {
    /// Reads `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`; anything else, also a list of
    /// ranges, is no range that is served.
    pub(super) fn parse(value: &HeaderValue) -> Option<Self> {
        let (first, last) = value
            .to_str()
            .ok()?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        match (first, last) {
            ("", count) => digits(count).map(Self::Last),
            (first, "") => Some(Self::From(digits(first)?, None)),
            (first, last) => {
                let (first, last) = (digits(first)?, digits(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// The range in something of `size` bytes, cut at its end; `None` if nothing of it is there.
    pub(super) fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first, None) => first..size,
            Self::From(first, Some(last)) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

fn digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Makes `response` the answer that has `range` of `size` bytes.
pub(super) fn partial(response: &mut Response, range: &Range<u64>, size: u64) {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let described = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if let Ok(described) = HeaderValue::from_str(&described) {
        headers.insert(header::CONTENT_RANGE, described);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &'static str, size: u64) -> Option<Range<u64>> {
        ByteRange::parse(&HeaderValue::from_static(text))
            .unwrap()
            .within(size)
    }

    #[test]
    fn a_range_is_cut_at_the_end_and_never_empty() {
        assert_eq!(within("bytes=0-3", 10), Some(0..4));
        assert_eq!(within("bytes=5-", 10), Some(5..10));
        assert_eq!(within("bytes=5-99", 10), Some(5..10));
        assert_eq!(within("bytes=0-18446744073709551615", 10), Some(0..10));
        assert_eq!(within("bytes=-3", 10), Some(7..10));
        assert_eq!(within("bytes=-99", 10), Some(0..10));
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(within(text, 10), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_none() {
        for text in [
            "",
            "0-3",
            "bytes=",
            "bytes=-",
            "bytes=4-3",
            "bytes=0-1,3-4",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
            "items=0-1",
            "bytes=18446744073709551616-",
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(ByteRange::parse(&value), None, "{text}");
        }
    }
}
