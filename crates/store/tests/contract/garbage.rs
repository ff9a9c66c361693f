use std::collections::HashSet;

use vm0_model::event::{LogEntry, LogKind, LogLevel, MetricSample};
use vm0_model::id::HistoryId;
use vm0_model::{RunId, RunStatus};
use vm0_store::record::{NewRun, RunArtifact, RunFinish, Telemetry, UploadRecord, VersionWanted};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, commit, event, manifest, saved, storage_id, version};

pub(crate) async fn references_are_all_that_rows_name(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    assert_eq!(world.store.references().await.unwrap(), Default::default());
    let data = world.volume("data").await;
    for n in [1, 2] {
        let commit = commit(data.id, n, i64::from(n));
        world.store.storage_commit(commit).await.unwrap();
    }
    let upload = UploadRecord {
        id: "upload:0101:session".into(),
        storage_id: data.id,
        expires_at: at(1),
        committed: None,
        created_at: at(0),
    };
    world.store.upload_create(upload).await.unwrap();
    let claimed = world.running(world.new_run_with_artifact(10)).await;
    let history = HistoryId::from_digest([9; 32]);
    let mut report = RunFinish {
        artifact: Some(saved(claimed.artifact.unwrap().0, 7)),
        ..world.finish(&claimed, RunStatus::Completed, 12)
    };
    let checkpoint = report.checkpoint.as_mut().unwrap();
    checkpoint.conversation.history = Some(history);
    world.finished(report).await;
    let oldest = world.running(world.new_run(20)).await;
    world.running(world.new_run(30)).await;
    let found = world.store.references().await.unwrap();
    assert_eq!(
        found.manifests,
        HashSet::from([manifest(1), manifest(2), manifest(7)])
    );
    assert_eq!(found.histories, HashSet::from([history]));
    assert_eq!(found.uploads, HashSet::from(["session".to_owned()]));
    assert_eq!(found.oldest_running, oldest.run.started_at);
}

async fn telemetry(world: &World, run: RunId) -> Telemetry {
    world.store.telemetry_view(run).await.unwrap()
}

pub(crate) async fn telemetry_of_runs_that_ended_is_removed_in_pieces(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let events = (0..10).map(event).collect();
    world
        .store
        .event_append(id, epoch, 0, events)
        .await
        .unwrap();
    let entry = |n: i64| LogEntry {
        timestamp: at(n),
        kind: LogKind::System,
        level: LogLevel::Info,
        message: "12345".into(),
        metadata: None,
    };
    let entries = (0..4).map(entry).collect();
    world.store.log_append(id, epoch, 0, entries).await.unwrap();
    let sample = MetricSample {
        timestamp: at(0),
        cpu_percent: 1.0,
        memory_used_bytes: 1,
        memory_total_bytes: 1,
        disk_used_bytes: 1,
        disk_total_bytes: 1,
        network_rx_bytes: 1,
        network_tx_bytes: 1,
    };
    world
        .store
        .metric_append(id, epoch, 0, vec![sample])
        .await
        .unwrap();
    let ended = |before, after| world.store.run_list_ended(at(before), after, 10);
    assert_eq!(ended(1_000, None).await.unwrap(), []);
    world
        .finished(world.finish(&claimed, RunStatus::Completed, 50))
        .await;
    assert_eq!(ended(50, None).await.unwrap(), []);
    assert_eq!(ended(51, None).await.unwrap(), [id]);
    assert_eq!(ended(51, Some(id)).await.unwrap(), []);
    let found = telemetry(&world, id).await;
    assert_eq!(
        (found.events.count, found.logs.count, found.metrics.count),
        (10, 4, 1)
    );
    assert_eq!(found.logs.bytes, 20);
    for expected in [7, 7, 1, 0] {
        let removed = world.store.telemetry_remove(id, 7).await.unwrap();
        assert_eq!(removed, expected);
    }
    assert_eq!(telemetry(&world, id).await, Telemetry::default());
    assert_eq!(world.run(id).await.status, RunStatus::Completed);
}

pub(crate) async fn a_salvaged_version_is_removed_unless_something_needs_it(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let mut storage = storage_id();
    for (n, now) in [(7, 10), (8, 20)] {
        let claimed = world.running(world.new_run_with_artifact(now)).await;
        storage = claimed.artifact.unwrap().0;
        let report = RunFinish {
            artifact: Some(saved(storage, n)),
            ..world.finish(&claimed, RunStatus::Failed, now + 5)
        };
        world.finished(report).await;
    }
    let listed = async || {
        let found = world.store.salvaged_list(at(1_000)).await.unwrap();
        found.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [version(7), version(8)]);
    let old = world.store.salvaged_list(at(20)).await.unwrap();
    assert_eq!(old.len(), 1, "the other is younger");
    world
        .store
        .storage_commit(commit(storage, 8, 30))
        .await
        .unwrap();
    assert_eq!(listed().await, [version(7)], "the other is the head");
    let artifact = RunArtifact {
        name: "out".into(),
        wanted: VersionWanted::Exact(version(7)),
        shown: None,
    };
    let run = NewRun {
        artifact: Some((artifact, storage_id())),
        ..world.new_run(40)
    };
    let run = world.create(run).await;
    assert_eq!(listed().await, [], "a pending run wants it");
    let remove = |n| world.store.salvaged_remove(storage, version(n), at(1_000));
    assert!(!remove(7).await.unwrap());
    world
        .store
        .run_cancel(world.user.id, run.id, at(50))
        .await
        .unwrap();
    assert!(remove(7).await.unwrap());
    assert!(!remove(7).await.unwrap() && !remove(8).await.unwrap());
}
