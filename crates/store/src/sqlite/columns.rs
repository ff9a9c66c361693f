//! Reading the columns of a row into the types of the records.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{ColumnIndex, Decode, Row, Type};
use vm0_model::Timestamp;

use crate::error::StoreError;
use crate::record::ListPage;

type Result<T> = std::result::Result<T, StoreError>;

/// The row of a query, mostly over `table`, which errors name.
pub(super) struct Columns<'r> {
    pub(super) table: &'static str,
    pub(super) row: &'r SqliteRow,
}

impl Columns<'_> {
    /// A column as SQLite has it.
    pub(super) fn get<'r, T>(&'r self, column: &'static str) -> Result<T>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
        &'static str: ColumnIndex<SqliteRow>,
    {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    /// Text that stands for a value.
    pub(super) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T> {
        self.parse_opt(column)?.ok_or_else(|| self.corrupt(column))
    }

    /// Text that stands for a value, or `NULL`.
    pub(super) fn parse_opt<T: FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.corrupt(column)))
            .transpose()
    }

    /// A time.
    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp> {
        self.get(column).map(Timestamp::from_micros)
    }

    /// A time or `NULL`.
    pub(super) fn time_opt(&self, column: &'static str) -> Result<Option<Timestamp>> {
        let micros: Option<i64> = self.get(column)?;
        Ok(micros.map(Timestamp::from_micros))
    }

    /// An integer of a narrower or unsigned type.
    pub(super) fn integer<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let value: i64 = self.get(column)?;
        T::try_from(value).map_err(|_| self.corrupt(column))
    }

    /// JSON text.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        self.json_opt(column)?.ok_or_else(|| self.corrupt(column))
    }

    /// JSON text or `NULL`.
    pub(super) fn json_opt<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| serde_json::from_str(text).map_err(|_| self.corrupt(column)))
            .transpose()
    }

    /// The error for a column that does not hold what it should.
    pub(super) const fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt {
            table: self.table,
            column,
        }
    }
}

/// A value as JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records have string keys and finite numbers only")
}

/// An unsigned number as the signed one that the database has; no real one is so large.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The rows of an answer as records.
pub(super) fn all<T>(
    rows: &[SqliteRow],
    record: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Vec<T>> {
    rows.iter().map(record).collect()
}

/// A page of a list in the order of `created_at` and `id`, both descending, as statements take it.
pub(super) struct Position {
    /// `created_at` of the last item shown; of the first page, later than any.
    pub(super) created_at: i64,
    /// Id of the last item shown.
    pub(super) id: String,
    /// Rows wanted, with the one that shows that there are more.
    pub(super) limit: i64,
}

impl Position {
    /// The position of a page.
    pub(super) fn of(page: &ListPage) -> Self {
        let (created_at, id) = match &page.after {
            Some(after) => (after.created_at.micros(), after.id.clone()),
            None => (i64::MAX, String::new()),
        };
        Self {
            created_at,
            id,
            limit: i64::from(page.limit) + 1,
        }
    }
}

/// The end of the ids that begin with a hexadecimal prefix: `g` follows every digit.
pub(super) fn prefix_end(prefix: &str) -> String {
    format!("{prefix}g")
}
