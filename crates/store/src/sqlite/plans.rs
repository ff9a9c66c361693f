//! Every list is answered from an index: no table is scanned and nothing is sorted.

use futures::FutureExt;
use sqlx::Row;

use crate::sqlite::store::SqliteStore;
use crate::sqlite::{
    agents, audit, devices, events, logs, metrics, monitor, run_claim, run_create, run_networks,
    runs, schedules, secrets, sessions, sign_in, storages, users, variables, versions,
};

const STATEMENTS: &[&str] = &[
    users::TOKEN_LIST,
    users::TOKEN_VIEW,
    users::TOKEN_BY_HASH,
    devices::COUNT_WAITING,
    devices::BY_USER_CODE,
    devices::BY_CODE,
    sign_in::LINK,
    sign_in::SESSION,
    sign_in::LINKS_TOO_MANY,
    sign_in::SESSIONS_TOO_MANY,
    sign_in::EXPIRED[0],
    sign_in::EXPIRED[1],
    sign_in::EXPIRED[2],
    secrets::LIST,
    secrets::VIEW,
    secrets::VALUE,
    variables::LIST,
    variables::VIEW,
    variables::VALUE,
    audit::LIST,
    agents::LIST,
    agents::LIST_BY_NAME,
    agents::BY_ID,
    agents::BY_NAME,
    agents::ACTIVE_RUN,
    agents::VERSION,
    agents::VERSION_LIST,
    agents::VERSION_MATCH,
    storages::LIST,
    storages::LIST_BY_NAME,
    storages::BY_ID,
    storages::BY_NAME,
    storages::UPLOADS,
    storages::UPLOAD_FIND,
    storages::UPLOAD_EXPIRE,
    versions::BY_ID,
    versions::LIST,
    versions::MATCH,
    runs::BY_ID,
    runs::LIST,
    runs::LIST_BY_STATUS,
    runs::LIST_BY_AGENT,
    runs::LIST_BY_AGENT_STATUS,
    runs::COUNT_ACTIVE,
    monitor::COUNT_PENDING,
    monitor::COUNT_RUNNING,
    run_create::SESSION_ACTIVE,
    run_claim::QUEUE,
    run_claim::EXPIRED,
    run_networks::VIEW,
    events::LIST,
    logs::LIST,
    logs::LIST_DESCENDING,
    logs::EVENTS,
    logs::EVENTS_DESCENDING,
    metrics::LIST,
    sessions::VIEW,
    sessions::LIST,
    sessions::LIST_BY_AGENT,
    sessions::CHECKPOINT,
    schedules::LIST,
    schedules::VIEW,
    schedules::DUE,
    schedules::COUNT,
];

/// The columns that a list compares with a value.
fn equated(statement: &str) -> impl Iterator<Item = &str> {
    let list = statement.contains("ORDER BY").then_some(statement);
    let conditions = list.and_then(|it| it.rsplit("WHERE ").next());
    let conditions = conditions.unwrap_or_default();
    conditions.split(" AND ").filter_map(|condition| {
        let (column, _) = condition.split_once(" = $")?;
        column.rsplit(['.', ' ', '(']).next()
    })
}

#[tokio::test]
async fn no_list_scans_a_table_or_sorts() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("vm0.db"))
        .await
        .unwrap();
    for statement in STATEMENTS {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps: Vec<String> = store
            .read(|connection| {
                async move {
                    let rows = sqlx::query(explain).fetch_all(connection).await?;
                    Ok(rows.iter().map(|row| row.get("detail")).collect())
                }
                .boxed()
            })
            .await
            .unwrap();
        for column in equated(statement) {
            let term = format!("{column}=?");
            // Else rows that do not match are read and thrown away.
            let sought = steps.iter().any(|step| step.contains(&term));
            assert!(sought, "{column}: {statement}\n{steps:#?}");
        }
        for step in &steps {
            // The queue is read from the head of its own partial index, which holds nothing else.
            let scan = step.starts_with("SCAN") && !step.ends_with("INDEX runs_queue");
            assert!(
                !scan && !step.contains("TEMP B-TREE"),
                "{statement}\n{steps:#?}"
            );
        }
    }
}
