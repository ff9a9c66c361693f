//! Several processes on one file, and one that is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use vm0_model::RunId;
use vm0_store::SqliteStore;

use crate::contract::world::{World, done, event, page};

const DATABASE: &str = "VM0_STORE_TEST_DATABASE";
const USER: &str = "VM0_STORE_TEST_USER";
const RUNS: &str = "VM0_STORE_TEST_RUNS";

/// Writes runs with events; prints each run's id and count of events once they are acknowledged.
#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn writer_process() {
    let database = std::env::var_os(DATABASE).expect("the parent names the database");
    let user = std::env::var(USER).expect("the parent names the user");
    let runs: u64 = std::env::var(RUNS)
        .expect("the parent names a number")
        .parse()
        .unwrap();
    let store = Arc::new(SqliteStore::open(Path::new(&database)).await.unwrap());
    let world = World::of(store, &user).await;
    for now in 0..runs {
        let run = world.create(world.new_run(now as i64)).await;
        report(run.id, 0);
        let claimed = world.claim(now as i64 + 1).await;
        let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
        for n in 0..5 {
            done(
                world
                    .store
                    .event_append(id, epoch, n, vec![event(n)])
                    .await
                    .unwrap(),
            );
            report(id, n + 1);
        }
    }
}

fn report(run: RunId, events: u64) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "ack {run} {events}")
        .and_then(|()| stdout.flush())
        .unwrap();
}

fn start_writer(database: &Path, user: &str, runs: u64) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "processes::writer_process",
            "--ignored",
            "--nocapture",
        ])
        .env(DATABASE, database)
        .env(USER, user)
        .env(RUNS, runs.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The acknowledged writes among the lines of a writer, up to `limit`.
fn acknowledged(output: &mut BufReader<ChildStdout>, limit: usize) -> Vec<(RunId, u64)> {
    let acks = output.lines().map_while(Result::ok).filter_map(|line| {
        let mut words = line.rsplit(' ');
        let events = words.next()?.parse().ok()?;
        let run = words.next()?.parse().ok()?;
        words.next()?.ends_with("ack").then_some((run, events))
    });
    acks.take(limit).collect()
}

#[tokio::test]
async fn whatever_was_acknowledged_before_a_kill_is_there_after_it() {
    for kills_after in [1, 17, 60] {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("vm0.db");
        let (mut child, mut output) = start_writer(&database, "maria", u64::MAX);
        let mut acks = acknowledged(&mut output, kills_after);
        child.kill().unwrap();
        child.wait().unwrap();
        acks.extend(acknowledged(&mut output, usize::MAX));
        assert!(acks.len() >= kills_after);
        let store = SqliteStore::open(&database).await.unwrap();
        let world = World::of(Arc::new(store), "maria").await;
        for (run, events) in acks {
            let stored = world.run(run).await;
            assert!(stored.event_count >= events);
            let listed = world.store.event_list(run, 0, 100).await.unwrap();
            assert_eq!(listed.len() as u64, stored.event_count);
        }
        world.create(world.new_run(1)).await;
    }
}

#[tokio::test]
async fn several_processes_write_to_one_database() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("vm0.db");
    let names = ["maria", "pavel", "aiko"];
    let writers: Vec<_> = names.map(|name| start_writer(&database, name, 15)).into();
    for (mut child, mut output) in writers {
        let acks = tokio::task::spawn_blocking(move || acknowledged(&mut output, usize::MAX));
        assert_eq!(acks.await.unwrap().len(), 15 * 6);
        assert!(child.wait().unwrap().success());
    }
    let store = Arc::new(SqliteStore::open(&database).await.unwrap());
    for name in names {
        let world = World::of(store.clone(), name).await;
        let runs = world
            .store
            .run_list(world.user.id, &Default::default(), page(100))
            .await;
        assert_eq!(runs.unwrap().len(), 15);
    }
}
