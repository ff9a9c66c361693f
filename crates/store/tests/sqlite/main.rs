//! The contract on SQLite, and what is particular to it: processes that share a file, and the
//! schemas of earlier releases.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "all functions here are the bodies of tests, which tell a story from top to bottom"
)]

#[macro_use]
#[path = "../contract/mod.rs"]
mod contract;
mod processes;
mod schemas;

use std::sync::Arc;

use async_trait::async_trait;
use contract::StoreFactory;
use tempfile::TempDir;
use vm0_store::{SqliteStore, Store};

struct SqliteFactory {
    directory: TempDir,
}

impl SqliteFactory {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }
}

#[async_trait]
impl StoreFactory for SqliteFactory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(
            SqliteStore::open(&self.directory.path().join("vm0.db"))
                .await
                .unwrap(),
        )
    }
}

mod sqlite {
    use crate::SqliteFactory;

    contract_suite!(SqliteFactory::new());
}
