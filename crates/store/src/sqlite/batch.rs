//! Inserting many rows with few statements.

use sqlx::query_builder::{QueryBuilder, Separated};
use sqlx::sqlite::{Sqlite, SqliteConnection};

use crate::error::StoreError;

/// Rows per statement, largest first: few sizes, so that each statement is prepared once.
const SIZES: [usize; 3] = [64, 8, 1];

/// Inserts `rows` in order. `insert` is the statement up to `VALUES`; `bind` binds one row.
pub(super) async fn insert_rows<T>(
    connection: &mut SqliteConnection,
    insert: &'static str,
    rows: &[T],
    bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), StoreError> {
    let mut rest = rows;
    for size in SIZES {
        while rest.len() >= size {
            let (chunk, left) = rest.split_at(size);
            let mut builder = QueryBuilder::<Sqlite>::new(insert);
            builder.push_values(chunk, |mut row, item| bind(&mut row, item));
            builder.build().execute(&mut *connection).await?;
            rest = left;
        }
    }
    Ok(())
}
