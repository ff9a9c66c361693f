//! Reading the record of administrative actions, beside a running server or without one.

use std::path::Path;

use serde::Serialize;
use vm0_model::{Timestamp, TokenId};
use vm0_store::record::AuditRecord;
use vm0_store::{AuditStore, SqliteStore, StoreError};

use crate::data_dir::{DataDir, DataDirError};

/// Lines that are read at a time.
const PAGE: u32 = 500;

/// An administrative action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// When.
    pub timestamp: Timestamp,
    /// Who: `user NAME`, `operator uid N`, `device` or `server`.
    pub who: String,
    /// The token that was used.
    pub token_id: Option<TokenId>,
    /// Where it was asked from.
    pub address: Option<String>,
    /// What was done.
    pub action: &'static str,
    /// To what.
    pub object: String,
}

/// Why the record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error("use the database")]
    Store(#[from] StoreError),
}

/// The record of a data directory, a page at a time.
#[derive(Debug)]
pub struct AuditReader {
    store: SqliteStore,
    since: Timestamp,
    after: Option<(Timestamp, u64)>,
}

impl AuditReader {
    /// The lines since this time.
    ///
    /// # Errors
    ///
    /// When the data directory or its database cannot be used.
    pub async fn open(data_dir: &Path, since: Timestamp) -> Result<Self, AuditError> {
        let directory = DataDir::open(data_dir)?;
        Ok(Self {
            store: SqliteStore::open(&directory.database()).await?,
            since,
            after: None,
        })
    }

    /// The next lines, the oldest first; none at the end.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn page(&mut self) -> Result<Vec<AuditLine>, AuditError> {
        let rows = self.store.audit_list(self.since, self.after, PAGE).await?;
        if let Some(last) = rows.last() {
            self.after = Some((last.acting.at, last.seq));
        }
        Ok(rows.into_iter().map(line).collect())
    }
}

fn line(row: AuditRecord) -> AuditLine {
    AuditLine {
        timestamp: row.acting.at,
        who: row.acting.who,
        token_id: row.acting.token,
        address: row.acting.address,
        action: row.action.as_str(),
        object: row.object,
    }
}
