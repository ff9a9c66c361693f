//! Databases of earlier releases, as they wrote them, and one of a later.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use vm0_model::RunStatus;
use vm0_model::device::DeviceStatus;
use vm0_store::record::{AuditAction, Key, TokenOwner};
use vm0_store::{
    AgentStore, AuditStore, DeviceStore, EventStore, RunNetworkStore, RunStore, ScheduleStore,
    SecretStore, SessionStore, SignInStore, SqliteStore, StoreError, UserStore, VariableStore,
};

use crate::contract::world::at;

const SCHEMA_1: &str = include_str!("../golden/schema_0001.sql");
const SCHEMA_6: &str = include_str!("../golden/schema_0006.sql");
const SCHEMA_7: &str = include_str!("../golden/schema_0007.sql");
const SCHEMA_8: &str = include_str!("../golden/schema_0008.sql");
const SCHEMA_9: &str = include_str!("../golden/schema_0009.sql");
const SCHEMA_10: &str = include_str!("../golden/schema_0010.sql");
const SCHEMA_11: &str = include_str!("../golden/schema_0011.sql");

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

async fn restored(path: &Path, dump: &'static str) -> SqliteStore {
    sqlx::raw_sql(dump)
        .execute(&mut connect(path).await)
        .await
        .unwrap();
    SqliteStore::open(path).await.unwrap()
}

#[tokio::test]
async fn a_database_of_schema_1_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vm0.db");
    let store = restored(&path, SCHEMA_1).await;
    let token = store
        .token_find("hash-1")
        .await
        .unwrap()
        .expect("the token is still there");
    let TokenOwner::User(user) = token.owner else {
        panic!("{:?}", token.owner)
    };
    assert_eq!(user.name, "maria");
    assert_eq!(store.run_count_active(user.id).await.unwrap(), 0);
    drop(store);
    SqliteStore::open(&path)
        .await
        .expect("opening it again changes nothing");
}

#[tokio::test]
async fn a_database_of_schema_6_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_6).await;
    let token = store
        .token_find("hash-1")
        .await
        .unwrap()
        .expect("the token is there");
    let TokenOwner::User(user) = token.owner else {
        panic!("{:?}", token.owner)
    };
    let agent = store
        .agent_view(user.id, &Key::Name("my-agent".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(agent.1.config, r#"{"config":1}"#);
    let page = vm0_store::record::ListPage {
        limit: 10,
        after: None,
    };
    let runs = store
        .run_list(user.id, &Default::default(), page)
        .await
        .unwrap();
    let [run] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!((run.status, run.event_count), (RunStatus::Completed, 2));
    assert_eq!(run.volumes.len(), 1);
    let session = store
        .session_view(user.id, run.session_id.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.last_run_id, run.id);
    let checkpoint = store
        .checkpoint_view(user.id, run.checkpoint_id.unwrap())
        .await
        .unwrap();
    assert_eq!(
        checkpoint.unwrap().volume_versions,
        run.volume_versions.clone().unwrap()
    );
    assert_eq!(store.event_list(run.id, 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_stored_values_of_schema_7_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_7).await;
    let token = store.token_find("hash-1").await.unwrap();
    let TokenOwner::User(user) = token.expect("the token is there").owner else {
        panic!("a token of another user")
    };
    let names: BTreeSet<_> = ["API_KEY", "REGION"].map(str::to_owned).into();
    let secrets = store.secret_find(user.id, &names).await.unwrap();
    assert_eq!(secrets["API_KEY"], (1..=40).collect::<Vec<u8>>());
    let variables = store.variable_find(user.id, &names).await.unwrap();
    assert_eq!(variables["REGION"], "eu-west");
    let secret = store.secret_view(user.id, "API_KEY").await.unwrap();
    let secret = secret.expect("the secret is there");
    assert!(secret.updated_at > secret.created_at);
}

#[tokio::test]
async fn codes_links_and_sessions_of_schema_8_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_8).await;
    let waiting = store.device_view("user-1").await.unwrap().unwrap();
    assert_eq!(waiting.grant.status, DeviceStatus::Pending);
    assert_eq!(waiting.client.as_deref(), Some("vm0/0.1.0"));
    let approved = store.device_view("user-2").await.unwrap().unwrap();
    assert_eq!(approved.grant.status, DeviceStatus::Approved);
    assert_eq!(approved.grant.polled_at, Some(at(1)));
    let first = store.sign_in_link_view("link-1").await.unwrap().unwrap();
    assert_eq!((first.user, first.used), (None, true));
    let link = store.sign_in_link_view("link-2").await.unwrap().unwrap();
    let session = store.page_session_find("session-1").await.unwrap().unwrap();
    assert_eq!((link.user, link.used), (Some(session.user), false));
}

#[tokio::test]
async fn a_database_of_schema_9_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_9).await;
    let later = at(10_000);
    let due = store.schedule_list_due(later, 10).await.unwrap();
    let [(user, schedule)] = due.as_slice() else {
        panic!("{due:?}")
    };
    assert_eq!(user.name, "maria");
    assert_eq!(schedule.request.cron, "0 9 * * 1-5");
    assert_eq!(schedule.request.prompt, "Sum it up");
    assert_eq!(
        schedule.last_error.as_deref(),
        Some("The server did not run")
    );
}

#[tokio::test]
async fn a_database_of_schema_10_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_10).await;
    let token = store.token_find("hash-1").await.unwrap();
    let TokenOwner::User(user) = token.expect("the token is there").owner else {
        panic!("a token of another user")
    };
    let page = vm0_store::record::ListPage {
        limit: 1,
        after: None,
    };
    let runs = store.run_list(user.id, &Default::default(), page).await;
    let network = store.run_network_view(runs.unwrap()[0].id).await.unwrap();
    let network = network.expect("the policy is there");
    assert_eq!(network.revision, 2);
    assert!(network.policy.contains("allowlist"), "{network:?}");
}

#[tokio::test]
async fn the_audit_of_schema_11_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = restored(&directory.path().join("vm0.db"), SCHEMA_11).await;
    let lines = store.audit_list(at(0), None, 10).await.unwrap();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line.action, AuditAction::SecretSet);
    assert_eq!(line.object, "secret API_KEY");
    assert_eq!(line.acting.address.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vm0.db");
    drop(SqliteStore::open(&path).await.unwrap());
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .execute(&mut connect(&path).await)
    .await
    .unwrap();
    let refused = SqliteStore::open(&path).await;
    assert!(matches!(refused, Err(StoreError::Newer { found: 9999, known }) if known < 9999));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vm0.db");
    std::fs::write(&path, "this is not a database, only a text of some length").unwrap();
    assert!(matches!(
        SqliteStore::open(&path).await,
        Err(StoreError::Database(_))
    ));
}
