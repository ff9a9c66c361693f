use vm0_model::event::{LogEntry, LogKind, LogLevel, MetricSample};
use vm0_model::{RunId, RunStatus, Timestamp};
use vm0_store::record::{LogFilter, LogPosition};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, done, event};

fn entry(time: i64, kind: LogKind, level: LogLevel) -> LogEntry {
    LogEntry {
        timestamp: at(time),
        kind,
        level,
        message: format!("{time} {}", level.as_str()),
        metadata: (kind == LogKind::Network).then(|| r#"{"mode":"SNI"}"#.to_owned()),
    }
}

const ALL: LogFilter = LogFilter {
    kind: None,
    level: None,
    since: None,
    until: None,
    descending: false,
    after: None,
    limit: 100,
};

async fn list(world: &World, run: RunId, filter: LogFilter) -> Vec<(Timestamp, LogKind)> {
    let found = world.store.log_list(run, &filter).await.unwrap();
    found
        .into_iter()
        .map(|log| (log.entry.timestamp, log.entry.kind))
        .collect()
}

/// Forty entries of every kind and level at twelve times, and ten events.
async fn filled(world: &World) -> RunId {
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let levels = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ];
    for n in 0..10_i64 {
        let entries: Vec<_> = (0..4_i64)
            .map(|m| {
                let kind = if (n + m) % 2 == 0 {
                    LogKind::System
                } else {
                    LogKind::Network
                };
                entry((n * 7 + m) % 12, kind, levels[((n + m) % 4) as usize])
            })
            .collect();
        let offset = 4 * n as u64;
        done(
            world
                .store
                .log_append(id, epoch, offset, entries.clone())
                .await
                .unwrap(),
        );
        done(
            world
                .store
                .log_append(id, epoch, offset, entries)
                .await
                .unwrap(),
        );
        done(
            world
                .store
                .event_append(id, epoch, n as u64, vec![event(n as u64)])
                .await
                .unwrap(),
        );
    }
    id
}

pub(crate) async fn entries_and_events_are_merged_by_time(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let store = &world.store;
    let boot = entry(3, LogKind::System, LogLevel::Info);
    done(
        store
            .log_append(id, epoch, 0, vec![boot.clone()])
            .await
            .unwrap(),
    );
    done(
        store
            .event_append(id, epoch, 0, vec![event(3), event(1)])
            .await
            .unwrap(),
    );
    world
        .finished(world.finish(&claimed, RunStatus::Completed, 5))
        .await;
    let last = entry(3, LogKind::Network, LogLevel::Warn);
    let appended = done(
        store
            .log_append(id, epoch, 1, vec![last.clone()])
            .await
            .unwrap(),
    );
    assert_eq!(
        (appended.next_offset, appended.status),
        (2, RunStatus::Completed)
    );
    let logs = store.log_list(id, &ALL).await.unwrap();
    let kinds: Vec<_> = logs.iter().map(|log| log.entry.kind).collect();
    use LogKind::{Agent, Network, System};
    assert_eq!(
        kinds,
        [Agent, System, Agent, Network],
        "ties are in order of arrival"
    );
    assert_eq!((&logs[1].entry, &logs[3].entry), (&boot, &last));
    let data = r#"{"type":"assistant","n":1,"sequenceNumber":2}"#;
    assert_eq!(logs[0].entry.message, format!("[assistant] {data}"));
    let metadata = format!(r#"{{"sequenceNumber":2,"eventType":"assistant","eventData":{data}}}"#);
    assert_eq!(logs[0].entry.metadata, Some(metadata));
}

pub(crate) async fn a_walk_in_either_order_shows_each_entry_once(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let id = filled(&world).await;
    let whole = world.store.log_list(id, &ALL).await.unwrap();
    assert_eq!(whole.len(), 50);
    assert!(whole.is_sorted_by_key(|log| (log.entry.timestamp, log.seq)));
    for descending in [false, true] {
        let mut walked = Vec::new();
        let mut after = None;
        loop {
            let filter = LogFilter {
                descending,
                after,
                limit: 6,
                ..ALL
            };
            let mut page = world.store.log_list(id, &filter).await.unwrap();
            let more = page.len() > 6;
            page.truncate(6);
            walked.extend(page);
            let last = walked.last().unwrap();
            let seq = Some((last.entry.kind, last.seq));
            after = Some(LogPosition {
                timestamp: last.entry.timestamp,
                seq,
            });
            if !more {
                break;
            }
        }
        if descending {
            walked.reverse();
        }
        assert_eq!(walked, whole, "descending: {descending}");
    }
}

pub(crate) async fn filters_keep_what_they_say(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let id = filled(&world).await;
    let whole = world.store.log_list(id, &ALL).await.unwrap();
    for kind in [
        None,
        Some(LogKind::System),
        Some(LogKind::Agent),
        Some(LogKind::Network),
    ] {
        for level in [None, Some(LogLevel::Info), Some(LogLevel::Error)] {
            let filter = LogFilter {
                kind,
                level,
                since: Some(at(2)),
                until: Some(at(9)),
                ..ALL
            };
            let expected: Vec<_> = whole
                .iter()
                .filter(|log| {
                    let entry = &log.entry;
                    kind.is_none_or(|kind| entry.kind == kind)
                        && level.is_none_or(|level| entry.level == level)
                        && (at(2)..=at(9)).contains(&entry.timestamp)
                })
                .cloned()
                .collect();
            assert_eq!(
                world.store.log_list(id, &filter).await.unwrap(),
                expected,
                "{filter:?}"
            );
        }
    }
    let from = Some(LogPosition {
        timestamp: at(5),
        seq: None,
    });
    let later = list(&world, id, LogFilter { after: from, ..ALL }).await;
    assert!(later.iter().all(|(time, _)| *time > at(5)) && !later.is_empty());
    let before = LogFilter {
        after: from,
        descending: true,
        ..ALL
    };
    let earlier = list(&world, id, before).await;
    assert!(earlier.iter().all(|(time, _)| *time < at(5)) && !earlier.is_empty());
}

pub(crate) async fn samples_are_recorded_once(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let sample = |n: u64| MetricSample {
        timestamp: at(n as i64),
        cpu_percent: 12.5,
        memory_used_bytes: n,
        memory_total_bytes: u64::from(u32::MAX) * 4,
        disk_used_bytes: n,
        disk_total_bytes: 10,
        network_rx_bytes: n,
        network_tx_bytes: n,
    };
    for (from, to) in [(0, 3), (0, 3), (2, 5), (5, 6)] {
        let samples = (from..to).map(sample).collect();
        let appended = done(
            world
                .store
                .metric_append(id, epoch, from, samples)
                .await
                .unwrap(),
        );
        assert_eq!(appended.next_offset, to);
    }
    let expected: Vec<_> = (0..6).map(sample).collect();
    assert_eq!(world.store.metric_list(id).await.unwrap(), expected);
}
