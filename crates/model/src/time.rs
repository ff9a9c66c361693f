//! Points in time as the API shows them: UTC, kept in microseconds, shown in milliseconds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::schema;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, always a whole millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// The text is not a time of the form `YYYY-MM-DDThh:mm:ss[.fraction]Z`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a UTC time of the form YYYY-MM-DDThh:mm:ssZ, with at most 9 fractional digits")]
pub struct TimestampError;

impl Timestamp {
    /// The time this many microseconds after the epoch, cut to milliseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.div_euclid(1_000) * 1_000)
    }

    /// The time this many milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The time this many milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0 + millis * 1_000)
    }

    /// Milliseconds from `earlier` to this time; negative if it is not earlier.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).div_euclid(1_000)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        schema::text(
            "A time in UTC with exactly three fractional digits.",
            Some(schema::TIME_PATTERN),
            Some("date-time"),
        )
    }
}

impl utoipa::ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{}", time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")),
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| {
            bytes
                .get(range)
                .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
        };
        let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        let fixed = punctuation
            .iter()
            .all(|&(at, byte)| bytes.get(at) == Some(&byte))
            && [0..4, 5..7, 8..10, 11..13, 14..16, 17..19]
                .into_iter()
                .all(digits);
        let fraction = match bytes.len() {
            20 => bytes[19] == b'Z',
            22..=30 => {
                bytes[19] == b'.' && digits(20..bytes.len() - 1) && bytes[bytes.len() - 1] == b'Z'
            }
            _ => false,
        };
        if !(fixed && fraction) {
            return Err(TimestampError);
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        Ok(Self::from_micros(time.as_microsecond()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_three_fractional_digits() {
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        let time: Timestamp = "2026-01-15T10:30:00.123456789Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-15T10:30:00.123Z");
    }

    #[test]
    fn offsets_dates_and_other_forms_are_refused() {
        for text in [
            "2026-01-15",
            "2026-01-15T10:30:00",
            "2026-01-15T10:30:00+00:00",
            "2026-01-15T10:30:00.Z",
            "2026-01-15t10:30:00Z",
            "2026-01-15T10:30:00z",
            "2026-02-30T10:30:00Z",
            "2026-01-15T10:30:00.1234567890Z",
            "2026-01-15 10:30:00Z",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text} was accepted");
        }
    }
}
